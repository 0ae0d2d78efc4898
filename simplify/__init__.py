"""Simplification of raw programs into readable ones.

distil       all steps, with a record of each
prune        removes statements that cannot influence the update; exact
rewriting/   finds the cheapest algebraically equal program, and checks it by running both
ablation/    removes statements whose removal does not hurt training
behaviour/   behavioural analysis: probes, stability, similarity to known optimizers
"""
