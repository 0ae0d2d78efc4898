"""Algebraic rewriting by equality saturation, and recognition of known optimizers.

rewrite      the cheapest program that is equal by the rules, checked by running both
rules        the rewrite rules, one row each, with their domains
patterns     expressions as the rules write them
egraph       many equal programs at once
saturate     applies all rules until nothing new is found
bounds       intervals that hold the values of a program
sizes        magnitudes of values, so that rules respect float32's range
extract      the cheapest program of an e-graph
state_forms  rules of state: variables that follow from others, and stored multiples
equivalence  whether two programs give the same updates, by running both
order        statements in reading order, variables named by role
recognise    known optimizers written differently
"""
