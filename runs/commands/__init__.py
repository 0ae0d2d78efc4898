"""What each command does, from its arguments to its result.

search       one campaign from its settings to its verdict
select       the best programs of runs through a funnel
evaluate     programs against tuned baselines on tasks
simplify     distillation of a named program
verify       checks of what a run claims
entrants     the programs that enter a funnel
final_runs   training of finalists on further seeds
evaluation_record  an evaluation in the files of the runs that its programs come from
campaigns/   shipped campaigns
funnels/     shipped funnels
"""
