"""Programs by name.

references   programs as users name them
discovery    the discovered programs that ship, with provenance and results
description  a discovered program in words
add          adds a discovered program from the records of a run
catalog      lists of tasks, functions, library programs and campaigns
provenance   where a program comes from and what was measured of it
export       a program as a file for another tool, with its provenance
discovered/  the shipped programs and their records
"""
