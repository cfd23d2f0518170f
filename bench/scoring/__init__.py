"""From stored outputs to tidy rows: which metric, of what, with which interval. Pure functions."""
