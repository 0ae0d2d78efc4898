"""Selection: which optimizer holds up, measured so that the comparison is fair.

- `contender`: a program or a baseline, and one training run of it; `baselines`: optax optimizers by name
- `tuning`: the learning-rate grid that every contender shares
- `evaluation`: tune, then run on fresh seeds, then compare; `statistics`: means, intervals, paired differences
"""
