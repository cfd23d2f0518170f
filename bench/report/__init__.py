"""From tidy rows to leaderboard, figures and one self-contained page; see `page.write_report`."""
