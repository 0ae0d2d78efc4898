"""Selection: fair evaluation and comparison of programs and baselines.

problem      a task with a batch size
space        tunable hyperparameters of a contender, with their declared ranges
statistics/  intervals, tests and ranks
baselines/   the table of baselines, other optimizers of optax, and the user's own
contender    a program or a baseline, and one training run of it
tuning/      rounds of trials with an equal budget for every contender, and what they show
comparison/  contenders tuned in replicates, trained on fresh seeds, and compared
behaviour    detects programs with equal behaviour
funnel       successive stages on larger tasks
"""
