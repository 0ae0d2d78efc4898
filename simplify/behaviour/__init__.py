"""Behavioural analysis of a program from its response to gradients, without a task.

probes       responses to scale, a spike, noise and a change of sign
weights      decay, singular weights, and the weights at which gradients are probed
stability    bounds on updates and weights, stable learning rates
similarity   nearest known optimizer, and influence of each statement
lanes        functions for all lanes of a simulation at once
simulation   batched float64 simulation of one program
"""
