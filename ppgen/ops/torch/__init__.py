"""The functions of `ppgen.ops` on torch's tensors; signatures and docstrings are in the files of the same names above."""
