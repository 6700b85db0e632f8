"""Checks of programs against each other and against a batch, one kind a file."""
