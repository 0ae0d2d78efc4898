"""Programs as files for other tools.

optax        programs as optax gradient transformations
torch        programs as PyTorch optimizers
text         LaTeX, pseudocode, JSON
formulas     programs as formulas, in any notation
source       shared by exported Python files: docstrings, helpers, line lengths
"""
