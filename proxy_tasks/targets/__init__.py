"""Targets: tasks on data of optional packages, for evaluation only (docs/targets.md).

- `families`: their ladders
- `code`: SymPy's source code; `flights`: a table of flights; `land`: land and sea; `pronunciation`: phonemes of words
"""
