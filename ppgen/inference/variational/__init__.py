"""Bounds on the evidence that a guide climbs."""
