"""From a raw program to a readable one.

distil       the whole way, with a record of every step
prune        removes what cannot influence the update; exact
rewrite      the cheapest program that is equal by the rules, checked by running both
rules        the rewrite rules, one row each
patterns     expressions as the rules write them
egraph       many equal programs at once
saturate     applies all rules until they say nothing new
bounds       what is known of a value without running anything
extract      the cheapest program of an e-graph
state_forms  rules of state: what follows from what, and stored multiples
equivalence  whether two programs give the same updates, by running both
order        statements in reading order, variables named by role
recognise    known optimizers in other clothes
probes       what a program answers to scale, a spike, noise and a turn
stability    bounds on updates and weights, stable learning rates
likeness     which known optimizer it behaves like, and which statements matter
lanes        one program on many gradients side by side
ablate       leaves out what training does not miss
trial        whether one program trains as well as another: a sequential test
"""
