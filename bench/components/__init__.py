"""Base classes of the four kinds of component. Authors import them from `bench.api`."""
