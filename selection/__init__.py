"""Selection: which optimizer holds up, measured so that the comparison is fair.

- `contender`: a program or a baseline, and one training run of it; `baselines`: optax optimizers by name
- `tuning`: the learning-rate grid that every contender shares
- `evaluation`: tune, then run on fresh seeds, then compare
- `statistics`: means, Student's intervals, detectable effects; `bootstrap`: intervals by resampling;
  `significance`: the paired permutation test and Holm's correction; `ranks`: statistics over tasks and rankings;
  `time_to_target`: steps to a training loss, and performance profiles
"""
