"""Campaigns on disk, in the terminal, in reports and notebooks. Imports go up this list.

reference/   pages of the documentation that are generated from the code
cli/         the command `optsearch`: parses arguments, prints text or JSON
scripting    campaigns, comparisons and distillation as functions
trackers/    TensorBoard, MLflow, Weights & Biases and plug-ins, as callbacks
notebook     a run in a notebook: the return value of `optsearch.load`
commands/    implementation of each command; shipped campaigns and funnels
report/      self-contained HTML reports of runs; charts
terminal/    tables, live views and comparisons as text
library/     programs by name: shipped discoveries, references, provenance, export
summary/     content of a run as values: searches, finals, lineage, history, selections
store/       a run on disk: schema, records, reader, writer, lock; training cache
text/        phrases and highlighting shared by terminal and report
"""
