"""Selection: fair evaluation and comparison of programs and baselines.

- `contender`: a program or a baseline, and one training run of it; `problem`: a task with a batch size
- `baselines`: the table of baselines, and baselines by name; `baseline`: a row; `made_baselines`: those built from
  optax's parts; `soap`: SOAP; `optax_baselines`: optax's other optimizers; `own_baseline`: the user's
- `families`: families of baselines, and baselines that contain each other
- `space`: tunable hyperparameters of a contender; `tuning`: rounds of trials, with an equal budget for every contender;
  `objective`: what they minimise on one or several tasks; `tuning_curve`: loss against tuning budget; `work`:
  arithmetic of an optimizer step
- `sensitivity`: loss against rate and weight decay over the trials; `rate_sensitivity`: at multiples of the tuned rate,
  all else fixed
- `evaluation_settings`: what defines a comparison; `evaluation`: tunes, then trains on fresh seeds; `replicate`: one
  tuning and its runs; `schedule`: order of the training runs; `comparison`: statistics of the results
- `step_time`: wall-clock time of a compiled training step, contenders in turns
- `failed_tuning`: baselines behind a baseline that they contain
- `funnel`: successive stages on larger tasks; `behaviour`: detects programs with equal behaviour
- `statistics`: means, Student's intervals, detectable effects; `bootstrap`: intervals by resampling;
  `significance`: the permutation test over replicates and Holm's correction; `ranks`: aggregates over tasks, rank
  correlation; `time_to_target`: steps to a target validation loss, and performance profiles
"""
