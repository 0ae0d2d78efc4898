"""Search: evolution of programs, and their evaluation in this process or on Ray.

config         campaign settings, strictly validated
settings/      YAML with line numbers, validation and error messages
warm_starts    reads the warm starts of a campaign
algorithms     table of search algorithms, including controls
pool           asynchronous calls, and their in-process implementation
variation/     new programs from others: mutations, crossover, random programs
population/    who survives and who becomes a parent
scoring/       what a program is worth: fitness, its cache, and the training behind it
workers/       where programs are trained: this process, or Ray
evolution      ask/tell evolution in ticket order; independent of workers, disk and clock
budget         limits of a search, and the training steps that they count
proposals      programs from people and language models as candidates, and their share of the evaluations
meta_validation  evaluates the best program on a larger task outside the fitness
member         a program that has joined the population
events         frozen records of a search
session        the search loop: connects evolution to an evaluator and records results before they take effect
"""
