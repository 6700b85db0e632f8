"""Evaluation."""
Evaluation = evaluate = posterior = None
