"""Mistakes that are easily made, written once for Pyro and NumPyro, and who notices them: the libraries' own SVI or ppgen.

python -m benchmarks.mistakes           # prints the table and writes docs/mistakes.md
"""
