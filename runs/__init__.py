"""Campaigns on disk, in the terminal, in reports and notebooks. Imports go up this list.

cli/         the command `optsearch`: arguments in, words or JSON out
scripting    campaigns, comparisons and distillation as functions
notebook     a run in a notebook: what `optsearch.load` returns
commands/    what each command does; shipped campaigns and funnels
report/      runs as one self-contained HTML file; charts
terminal/    tables, live views and comparisons as text
library/     programs by name: shipped discoveries, references, provenance, export
summary/     what a run holds: searches, finals, lineage, history, selections
store/       a run on disk: schema, records, reader, writer, lock; kept trainings
text/        words shared by terminal and report
"""
