"""The optimizer language: programs, their meaning, analyses and exports. It does not depend on training.

errors       base class of errors that the user can fix
types        kinds of values: scalar, per leaf, per row, per column, leaf
laws         algebraic laws that a function can declare
rows         columns of the function table
definitions  source text of functions that exported files define
functions    the function table, from which the other modules derive their behaviour
program      programs as frozen values
syntax       parser and printer
verify       type checker: accepts or rejects a program and infers the kind of every value
walk         one traversal of the statements, generic over the domain of values
dataflow     liveness across steps; exact pruning
nodes        hash-consed values
magnitude    bounds on the magnitude of values
numbering    normal form of every value, derived from the laws
fingerprint  hash of a program's semantics
cost         state, arithmetic and memory traffic per parameter
execute      one step on a parameter tree, in JAX and in float64 NumPy as the oracle
transform    a program as an optax gradient transformation
generate     random well-typed statements
library      known optimizers as programs
directions   distances between the behaviours of programs, from their updates
rate         folds a learning-rate factor into a program
parameters   names of constants in exported files
hyperparameters  learning rate and weight decay of a program, as optax and PyTorch understand them
export/      programs as optax and PyTorch optimizers, LaTeX, pseudocode and JSON
reference    the function table as Markdown, for docs/language.md
programs/    program texts of the library
"""
