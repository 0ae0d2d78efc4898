"""Export of programs to other formats.

optax        optax gradient transformations
torch        PyTorch optimizers; torch_statements has the lines of their steps
text         LaTeX, pseudocode, JSON
formulas     programs as formulas, in a configurable notation
arguments    learning rate, weight decay and other constants as arguments
source       shared by exported Python files: docstrings, helpers, line lengths
"""
