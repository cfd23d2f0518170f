"""Metrics: pure functions of stored outputs. Arrays in, numbers out; no files, no networks, no runs."""
