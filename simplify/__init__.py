"""From a raw program to a readable one.

distil       all steps, with a record of each
prune        removes statements that cannot influence the update; exact
rewriting/   the cheapest program that is equal by algebraic rules, checked by running both
ablation/    leaves out statements whose removal does not hurt training
behaviour/   how a program responds: probes, stability, similarity to known optimizers
"""
