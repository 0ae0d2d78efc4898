"""What a run holds, as values; nothing here prints.

run          one run in one object: status, best programs, finals, comparison
arms         the searches of a campaign, in order
finalists    the programs among which the best of a search is chosen
finals       training on further seeds: results and winner
history      a search over time
lineage      from the warm start to a program, mutation by mutation
held_out     the tasks on which a program was chosen before
evaluation_result  the result of an evaluation, as plain values
selections   the funnels and evaluations that a program went through, in short
replicates   several seeds of one campaign, and their statistics
"""
