"""One file or package a dataset; see bench.api."""
