"""Benchmarks of ppgen against hand-written code and other libraries."""
