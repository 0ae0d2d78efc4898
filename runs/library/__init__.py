"""Programs by name.

references   resolves references to programs
discovery    shipped discovered programs, with provenance and results
description  text descriptions of discovered programs
results      results of a discovered program, taken from an evaluation
add          adds a discovered program from the records of a run
catalog      lists of tasks, functions, library programs and campaigns
provenance   source and measured results of a program
export       conversion of programs for other tools, with provenance
tuned        tuned values of a program from an evaluation
discovered/  the discovered programs and their records
"""
