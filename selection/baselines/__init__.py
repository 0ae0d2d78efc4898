"""Baselines: optimizers designed by hand, with declared spaces.

baseline          one row: an optimizer, its reference values and what is tuned
table             the table of baselines, and baselines by name
made              optimizers built from optax's parts
soap              SOAP
optax_optimizers  any other optimizer of optax
torch_optimizers  optimizers of torch, for training scripts
own               the user's optimizers
"""
