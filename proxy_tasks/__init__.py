"""Proxy tasks: tiny models on real data, and the trainer that runs any program on them.

- `registry`: every task by name; `task`: what a task is, its version and schedule; `custom_task`: tasks of users
- `contract`: the laws that every task keeps; `measured`: AdamW's loss and the noise on the shipped ones
- `datasets`: what a data set is; `images`, `text`, `synthetic`: those that ship; `hub`: larger ones, as an extra
- `models`: what a network is, and perceptrons; `transformer`, `convolution`, `quadratic`: the others
- `seeds`: which training seeds are for what
- `objectives`: losses and metrics; `checkpoint`: what fine-tuning starts from
- `trainer`: trains a task with a program or an optax optimizer; `run`: what is to be trained, and what it is known by;
  `outcome`: what comes back; `hurdle`: stopping early
- `instructions`: what the interpreter can do; `encoding`: a program as arrays; `script`: those of several runs in order
- `engine`: the interpreter, which runs them inside the compiled training loop; `loop`: that loop
- `compiled_loop`: an optimizer compiled into a loop of its own; `compilation`: how JAX is set up; `machine`: the
  machine and environment, which decide how results round
"""
