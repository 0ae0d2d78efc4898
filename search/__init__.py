"""Search: evolution of programs, and their evaluation in this process or on Ray.

config         campaign settings, strictly validated
settings/      YAML with line numbers, validation and error messages
warm_starts    reads the warm starts of a campaign
algorithms     table of search algorithms, including controls
mutate         mutation of a program; mutation_config: weights and bounds of the mutations
constants      mutations of constants
change         a change of a program by one mutation, and its record
crossover      a value of another program, with the statements that define it
breeding       the population with the methods of a search: joining, and generating a child
refinement     constants of the best programs, by an evolution strategy
adaptation     adaptive weights of the mutations
random_programs  random search: independently sampled programs
population     the ageing population, tournament selection and the population digest
parsimony      handicap of programs with a common length
archive        the Pareto front of loss, state, statements and age, from which parents are selected too
proposals      programs from people and language models as candidates, and their share of the evaluations
fitness_cache  deduplication: equivalent programs are evaluated once
budget         limits of a search, and the training steps that they count
evolution      ask/tell evolution in ticket order; independent of workers, disk and clock
events         frozen records of a search
fitness        definition of fitness: tasks, seeds, rates, and the record of an evaluation
reference      hurdles and the rate-sweep threshold, derived from the warm start
evaluate       maps jobs to fitness: the evaluator protocol, and the in-process evaluator
meta_validation  evaluates the best program on a larger task outside the fitness
pool           asynchronous calls, and their in-process implementation
workers        evaluation on Ray; ray_pool: function calls on Ray
crew           workers that are Ray actors: started, supplied, watched and replaced
ray_runtime    starts, joins and watches Ray; cluster: packaging and health checks for a Ray cluster
handover       in-process evaluation until the workers have started
session        the search loop: connects evolution to an evaluator and records results before they take effect
"""
