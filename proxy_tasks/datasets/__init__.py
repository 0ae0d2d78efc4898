"""Data sets of the shipped tasks.

- `dataset`: definition of a data set, and the files that ship
- `images`, `text`, `synthetic`: shipped data sets; `package`: files of a pinned package of the index
"""
