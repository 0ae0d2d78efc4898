"""Content of a run, and facts about a machine, as typed values without output.

run          summary of one run: status, best programs, controls, comparison
listing      the runs of a folder
program      summary of one program: forms, evaluations, lineage
leaderboard  the best programs of a search
proposals    programs proposed to a run
front        its Pareto front of loss, state and length
snapshot     progress of a run at one moment
glance       values of a live view that are queried rarely
status       status of a run
counts       counts of a search, and its best program so far
meta_validation  results of successive best programs on a larger task
sentences    comparisons and results as sentences
searches     the searches of a campaign, in order
finalists    selection of the best program of a search
finals       results of training on further seeds, and comparison with controls
history      statistics of a search over time
lineage      ancestry of a program, mutation by mutation
held_out     tasks that were used to select a program
evaluation_rows  tables of an evaluation as frozen rows
evaluation_result  result of an evaluation, with what it was made of
evaluation_json  JSON of an evaluation, and its decoder
result_file  output of `evaluate --json` in a file
stage_record  a completed stage of a funnel, and its JSON
selections   the funnels and evaluations of a run
replicates   statistics over several seeds of one campaign
campaign_file  settings of a run as a campaign file
diagnosis    this machine, and what of a campaign fits its devices
"""
