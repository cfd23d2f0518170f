"""What the papers print, and where it stands beside what is measured here."""
