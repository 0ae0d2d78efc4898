"""What a program is worth.

fitness          definition of fitness: tasks, seeds, rates, and the record of an evaluation
reference        hurdles and the rate-sweep threshold, derived from the warm start
fitness_cache    deduplication: equivalent programs are evaluated once
evaluate         maps jobs to fitness: the evaluator protocol, and the in-process evaluator
"""
