"""One file a component; see bench.api."""
