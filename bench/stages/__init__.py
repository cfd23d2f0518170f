"""The units of work of a run, one file a stage."""
