"""Who survives, and who becomes a parent.

population   the ageing population, tournament selection and the population digest
parsimony    handicap of programs with a common length
archive      the Pareto front of loss, state, statements and age, from which parents are selected too
adaptation   adaptive weights of the mutations
refinement   constants of the best programs, by an evolution strategy
breeding     the population with the methods of a search: joining, and generating a child
"""
