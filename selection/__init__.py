"""Selection: which optimizer holds up, measured so that the comparison is fair.

- `contender`: a program or a baseline, and one training run of it; `baselines`: optax optimizers by name;
  `problem`: a task, at its own batch size or another
- `space`: what is tuned about a contender; `tuning`: rounds of trials, the same for all;
  `sensitivity`: how much a contender minds its settings; `work`: arithmetic of its step
- `evaluation`: tune, then run on fresh seeds; `schedule`: which run is made next; `comparison`: what the runs say
- `funnel`: stage after stage on larger tasks; `behaviour`: whether two programs do the same
- `statistics`: means, Student's intervals, detectable effects; `bootstrap`: intervals by resampling;
  `significance`: the paired permutation test and Holm's correction; `ranks`: statistics over tasks and rankings;
  `time_to_target`: steps to a training loss, and performance profiles
"""
