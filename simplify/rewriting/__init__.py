"""Algebraic rewriting by equality saturation, and recognition of known optimizers.

rewrite      finds the cheapest equal program, and checks it by running both
rules        rewrite rules, one row each, with their domains
patterns     expressions in the syntax of the rules
egraph       e-graph: represents many equal programs at once
saturate     applies all rules until nothing new is found
bounds       interval analysis of the values of a program
sizes        magnitudes of values, so that rules respect float32's range
extract      extracts the cheapest program from an e-graph
state_forms  rules of state: dependent state variables, and rescaled state
equivalence  numerical test of the equality of updates
order        orders statements for reading, names variables by role
recognise    recognises known optimizers written differently
"""
