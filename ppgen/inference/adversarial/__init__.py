"""Games with a critic in place of a density."""
