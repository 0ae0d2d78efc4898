"""Selection: fair evaluation and comparison of programs and baselines.

scripts/     training scripts of the user, each run of which is a process
problem      a task with a batch size, or a training script
space        tunable hyperparameters of a contender, with their declared ranges
statistics/  intervals, tests and ranks
baselines/   the table of baselines, other optimizers of optax, those of torch, and the user's own
optimizer_file  a program or a baseline as a module that a training script loads
contender    a program or a baseline, and one training run of it
tuning/      rounds of trials with an equal budget for every contender, and what they show
comparison/  contenders tuned in replicates, trained on fresh seeds, and compared
behaviour    detects programs with equal behaviour
funnel       successive stages on larger tasks
"""
