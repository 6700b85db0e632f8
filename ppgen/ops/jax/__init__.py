"""The functions of `ppgen.ops` on JAX's arrays; signatures and docstrings are in the files of the same names above."""
