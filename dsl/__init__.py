"""The language of optimizer programs; it knows nothing of training.

types        kinds of values: scalar, per leaf, leaf
functions    the table of functions; everything else is derived from it
program      programs as frozen values
syntax       text to program and back
verify       which programs may run, and the kind of every value
walk         the one walk over statements, for every meaning of values
dataflow     what can influence the update, across steps; exact pruning
fingerprint  a name for what a program means
execute      one step on a parameter tree: JAX, and float64 NumPy as its oracle
transform    a program as an optax gradient transformation
generate     random well-typed statements
library      known optimizers as programs
export       programs as files for other projects
"""
