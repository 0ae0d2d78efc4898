"""How a program responds to gradients, without a task.

probes       responses to scale, a spike, noise and a change of sign
stability    bounds on updates and weights, stable learning rates
similarity   the known optimizer that it behaves like, and the statements that matter
simulation   batched float64 simulation of one program
"""
