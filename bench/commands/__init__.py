"""Groups of sub-commands, one module a group; `bench.cli` joins them."""
