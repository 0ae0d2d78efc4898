"""Comparison of contenders that are tuned several times and trained on fresh seeds.

settings       what defines a comparison
replicate      one tuning of every contender, and the runs on its fresh seeds
evaluate       runs all replicates
evaluation     results of an evaluation
judge          what it concludes from its training runs
join           several evaluations on different tasks as one
comparison     differences, tests and verdicts
failed_tuning  baselines behind a baseline that they contain
trend          differences against the number of steps: whether a lead lasts
step_time      wall-clock time of a compiled training step, contenders in turns
work           arithmetic of an optimizer step
"""
