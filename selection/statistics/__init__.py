"""Statistics of losses: intervals, tests and ranks.

intervals       means, Student's intervals, detectable effects
bootstrap       intervals by resampling
significance    the permutation test over replicates, and Holm's correction
ranks           aggregates over tasks, rank correlation
time_to_target  steps to a target validation loss, and performance profiles
"""
