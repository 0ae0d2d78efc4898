"""Forms of the output of `--json`: the keys of every object, with their types and descriptions.

The reference of JSON is generated from them, and tests compare real output with them. A key without a description here
has that of the value from which it is made (`made_from`).

outputs     which command prints which form, and how stable it is
runs        runs and their progress
replicates  studies over several seeds
programs    programs, and their rows in the summary of a run
lists       shipped tasks, functions, programs and campaigns; checks and machines
studies     comparisons and funnels
distilled   distillation
exported    exported programs
made_from   values from which forms are made
"""
