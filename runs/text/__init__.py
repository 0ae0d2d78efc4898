"""Words shared by terminal and report.

phrasing     comparisons and verdicts as sentences
highlight    program text with its parts marked for colour
plain        text from files, safe to print
"""
