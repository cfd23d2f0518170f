"""Image quality by foreign networks and parameters, and by models fitted in the run."""
