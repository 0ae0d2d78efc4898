"""Campaigns on disk and in the terminal.

cli          the command `optsearch`; options are what its commands share
campaign     one campaign from its settings to its verdict
arms         the searches of a campaign, in order
reader       what can be read from a run
ledger       one search's part of a run file, as its session sees it
study        several seeds of one campaign, and what they say together
store        a run on disk, for its one writer; reader for everybody else; schema, records, lock and errors beside them
finalists    which program of a search is its best
inspect      what a run holds, as plain values
distillation what `simplify` runs
evaluation   programs against tuned baselines on tasks; held_out says which tasks chose a program before
selecting    the best programs of runs through a funnel; candidates are the programs that enter it
trials       training runs that are kept and shared between studies
comparing    the commands `evaluate` and `select`; comparison_view prints what they find
exporting    what `export` writes
programs     programs as users name them
catalog      what there is: tasks, functions, library, campaigns
watch        a run seen from another shell
verification  whether a run is what it says
progress     the live view of a search
terminal     what the commands print
machine      where and with what a run is made
campaigns/   shipped campaigns
funnels/     shipped funnels
"""
