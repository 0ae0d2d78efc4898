"""Proxy tasks: small models on real data, and the trainer that trains them with any program.

- `registry`: all tasks by name; `ladder`: a family of three rungs; `task`: definition of a task, its version and
  schedule; `custom_task`: user-defined tasks; `imported`: the user's objects by reference;
  `plugins`: those of installed distributions
- `contract`: laws that every task satisfies; `measured`: AdamW's loss and seed noise on the shipped tasks
- `datasets`: shipped data sets; `hub`: optional larger ones; `data`: their files
- `models`: perceptrons, Transformers, and the other models
- `targets`: held-out tasks on data of optional packages
- `seeds`: disjoint ranges of training seeds by purpose
- `objectives`: losses and metrics; `checkpoint`: pretrained parameters for fine-tuning
- `trainer`: trains a task with a program or an optax optimizer; `run`: a training run as a value, and its cache key;
  `outcome`: result of a run; `hurdle`: early stopping
- `execution`: programs in the compiled training loop: the interpreter, its instructions, the loop itself, and snapshots
  of long runs
- `lowering`: the training loop from shapes alone, for other platforms; `memory`: device memory of a batch of runs;
  `arithmetic`: multiply-adds of a function
- `compilation`: configuration of JAX; `machine`: the machine and environment, which determine rounding
"""
