"""The search: evolution of programs, and their evaluation here and on Ray.

config         a campaign's settings; strict, all faults at once; settings: how any are read
faults         what is wrong with settings, in the words of who wrote them
yaml_text      YAML as plain data with the line of every value
mutate         one small change of a program; mutation_config has the list of mutations, their weights and bounds
random_programs  random search: programs drawn independently of each other
population     the ageing population, its tournaments and its digest
fitness_cache  programs that mean the same are evaluated once
evolution      draws tickets, takes in results, in ticket order; knows no workers, disk or clock
events         what happens in a search, as frozen records
fitness        what fitness means: tasks, seeds, rates, and what is recorded of an evaluation
reference      what programs are measured against: hurdles, and which are near the top
evaluate       from jobs to their fitness; the protocol of evaluators, and the one in this process
meta_validation  the best program, watched on a larger task outside the fitness
pool           calls whose results come as they are ready, in this process
workers        evaluation, and calls of any function, on Ray; cluster: what a cluster gets from us
head_start     evaluation in this process until the workers are there
session        one sitting: evolution meets evaluator, results are recorded before they count
"""
