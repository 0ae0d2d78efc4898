"""Phrases and highlighting shared by terminal and report.

phrasing     comparisons and verdicts as sentences
highlight    syntax highlighting of program text
plain        sanitised text for terminals
"""
