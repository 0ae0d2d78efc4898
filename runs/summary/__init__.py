"""Content of a run as plain values, without output.

run          summary of one run: status, best programs, finals, comparison
arms         the searches of a campaign, in order
finalists    selection of the best program of a search
finals       results of training on further seeds, and comparison with controls
history      statistics of a search over time
lineage      ancestry of a program, mutation by mutation
held_out     tasks that were used to select a program
evaluation_result  result of an evaluation, as plain values
selections   short summary of the funnels and evaluations of a run
replicates   statistics over several seeds of one campaign
"""
