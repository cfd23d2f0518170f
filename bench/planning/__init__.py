"""From a configuration to cells: what must be computed, and in which order."""
