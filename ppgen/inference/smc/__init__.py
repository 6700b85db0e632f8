"""Populations of weighted particles."""
