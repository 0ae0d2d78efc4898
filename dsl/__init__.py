"""The language of optimizer programs; it knows nothing of training.

types        kinds of values: scalar, per leaf, leaf
laws         the equations that a function can declare
rows         what a row of the function table holds
functions    the table of functions; everything else is derived from it
program      programs as frozen values
syntax       text to program and back
verify       which programs may run, and the kind of every value
walk         the one walk over statements, for every meaning of values
dataflow     what can influence the update, across steps; exact pruning
nodes        distinct values, each kept once
magnitude    how large a value can become
numbering    the standard form of every value, by the laws
fingerprint  a name for what a program means
cost         state, arithmetic and memory traffic for each parameter
execute      one step on a parameter tree: JAX, and float64 NumPy as its oracle
transform    a program as an optax gradient transformation
generate     random well-typed statements
library      known optimizers as programs
rate         a program at another learning rate
parameters   names in exported files: constants by role, no clashes
formulas     programs as formulas, in any notation
source       what exported Python files share: docstrings, helpers, line lengths
export       programs as optax files
export_torch programs as PyTorch optimizers
export_text  programs for readers: LaTeX, pseudocode, JSON
reference    the function table as text, for docs/language.md
"""
