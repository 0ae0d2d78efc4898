"""Terminal output of the commands.

tables          consoles, tables, errors
run_view        a run, a study
program_view    one program
proposal_view   programs proposed to a run
search_view     the live view of a search
training_view   the live view of `evaluate`, `select` and `simplify`
watch           the live view of a run from another shell
comparison_view results of `evaluate` and `select`
tuning_view     loss against learning rate and tuning budget, in these results
step_times      time of a training step, as measured by `evaluate --time`
listing_view    the runs of a folder, and the work of `evaluate`, `select` and `simplify` from another shell
diagnosis_view  this machine and what of a campaign fits
discovery_view  provenance and results of discovered programs
"""
