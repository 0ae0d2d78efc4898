"""The language of optimizer programs. It is independent of training.

errors       the base of all errors whose message is for the user
types        kinds of values: scalar, per leaf, leaf
laws         the equations that a function can declare
rows         the columns of the function table
functions    the function table; everything else is derived from it
program      programs as frozen values
syntax       text to program and back
verify       type checking: which programs may run, and the kind of every value
walk         one traversal of the statements, for every interpretation of values
dataflow     which statements can influence the update, across steps; exact pruning
nodes        hash-consed values
magnitude    bounds on the size of values
numbering    the normal form of every value, by the laws
fingerprint  a hash of a program's meaning
cost         state, arithmetic and memory traffic per parameter
execute      one step on a parameter tree: JAX, and float64 NumPy as its oracle
transform    a program as an optax gradient transformation
generate     random well-typed statements
library      known optimizers as programs
rate         a program at another learning rate
parameters   names in exported files: constants by role, no clashes
export/      programs as optax and PyTorch optimizers, LaTeX, pseudocode and JSON
reference    the function table as text, for docs/language.md
programs/    the texts of the library
"""
