"""The search: evolution of programs, and their evaluation in this process and on Ray.

config         campaign settings, strictly validated
settings/      YAML with line numbers, validation, and errors in the user's words
algorithms     what a search can be, one row each; controls are rows too
mutate         one small change of a program; mutation_config has the mutations, their weights and bounds
random_programs  random search: programs drawn independently of each other
population     the ageing population, its tournaments and its digest
fitness_cache  programs with the same meaning are evaluated once
evolution      proposes tickets and takes results in ticket order; independent of workers, disk and clock
events         what happens in a search, as frozen records
fitness        tasks, seeds, rates, and the record of an evaluation
reference      the standard that programs are measured against: hurdles, and who is near the top
evaluate       from jobs to their fitness; the protocol of evaluators, and the one in this process
meta_validation  the best program, watched on a larger task outside the fitness
pool           calls whose results arrive as they are ready, in this process
workers        evaluation, and calls of any function, on Ray; cluster: what is sent to a cluster
handover       evaluation in this process until the workers have started
session        one sitting: evolution meets evaluator; results are recorded before they count
"""
