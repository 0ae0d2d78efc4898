"""New programs from others.

change            a change of a program by one mutation, and its record
mutate            mutation of a program
mutation_config   weights and bounds of the mutations
constants         mutations of constants
crossover         a value of another program, with the statements that define it
random_programs   random search: independently sampled programs
"""
