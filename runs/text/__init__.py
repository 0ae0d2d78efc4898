"""Phrases and highlighting shared by terminal and report.

phrasing     comparisons and verdicts as sentences
highlight    syntax highlighting of program text
html_table   tables for notebooks
plain        sanitised text for terminals
"""
