"""What a program is worth.

fitness          what is evaluated, the reference values, and the result
reference        hurdles and the rate-sweep threshold, derived from the warm start
conversation     definition of an evaluation, which requests training runs: seeds, tasks, rates, races
fitness_cache    deduplication: equivalent programs are evaluated once
evaluate         maps jobs to fitness: the evaluator protocol, and the in-process evaluator
"""
