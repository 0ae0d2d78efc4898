"""Export of programs to other formats.

optax        optax gradient transformations
torch        PyTorch optimizers
text         LaTeX, pseudocode, JSON
formulas     programs as formulas, in a configurable notation
source       shared by exported Python files: docstrings, helpers, line lengths
"""
