"""What `bench.contract` checks, by kind of component."""
