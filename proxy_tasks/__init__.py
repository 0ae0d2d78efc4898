"""Proxy tasks: tiny models on real data, and the trainer that runs any program on them.

- `registry`: every task by name; `task`: what a task is, its version and schedule
- `datasets`: the shipped data and how it is split; `models`: the networks; `objectives`: losses and metrics
- `trainer`: trains a task with a program or an optax optimizer; `outcome`: what comes back; `hurdle`: stopping early
- `encoding`: a program as arrays; `engine`: the interpreter that runs them inside the compiled training loop;
  `loop`: that loop; `compilation`: how JAX is set up
"""
