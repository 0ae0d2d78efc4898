"""Implementation of each command, from its arguments to its result.

search       runs a campaign: searches, controls and final comparison
propose      leaves programs in the inbox of a run
warm_starts  warm starts that are programs of runs, discovered ones or files
select       takes the best programs of runs through a funnel
evaluate     compares programs with tuned baselines on tasks
simplify     distillation of a named program
verify       checks the records and results of a run
doctor       examines this machine, and what of a campaign fits it
announcer    sends the events of a campaign to callbacks
entrants     the programs that enter a funnel
own_imports  which own tasks of a run may be imported
final_runs   training of finalists on further seeds
script_check  tries a training script with few steps, and says what is wrong with it
join         earlier results that an evaluation judges together with its own
timing       times training steps once all training runs have ended
evaluation_record  records an evaluation in the runs of its programs
campaigns/   shipped campaigns
funnels/     shipped funnels
"""
