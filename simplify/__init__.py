"""From a raw program to a readable one.

prune        removes what cannot influence the update; exact
"""
