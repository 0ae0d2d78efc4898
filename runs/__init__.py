"""Campaigns on disk and in the terminal.

cli          the command `optsearch`; options: what several commands take
campaign     one campaign from its settings to its verdict
arms         the searches of a campaign, in order
reader       what can be read from a run
ledger       one search's part of a run file, as its session sees it
study        several seeds of one campaign, and what they say together
store        a run on disk, for its one writer; reader for everybody else; schema, records, lock and errors beside them;
             decoding: what a stored record must be; plain_text: what of a text may reach a terminal
report       runs as one HTML file; findings, history and lineage: what it says, read from a run
page/        the template, style and script of that file
notebook     a run in a notebook: what `load` gives
explain      a program for people: cost, behaviour, formula
selections   a run's funnels and evaluations, for the report; stage_charts: what their records give charts to draw
charts       a chart as data; search_charts: those of a search; selection_charts: those of funnels and evaluations;
             drawing: charts as files, and their library
highlight    program text with its parts told apart
words        what a comparison says
finalists    which program of a search is its best; finals: what training on further seeds says, and who wins;
             final_runs: that training
inspect      what a run holds, as plain values
distillation what `simplify` runs
trainings    training runs that are kept and shared between commands
evaluation   programs against tuned baselines on tasks; evaluation_record keeps it in the runs of the programs, and
             held_out says which tasks chose a program before
selecting    the best programs of runs through a funnel; candidates are the programs that enter it; studies: what
             became of them, in short
comparing    the commands `evaluate` and `select`; comparison_view prints what they find
exporting    what `export` writes
provenance   where a program comes from and what was measured of it
programs     programs as users name them
discovery    discovered programs that ship, with provenance and results; discovering adds one from a run's own records,
             and discovery_view says what is known of them
catalog      what there is: tasks, functions, library, campaigns
watch        a run seen from another shell
verification  whether a run is what it says
progress     the live view of a search; training_view: that of `evaluate` and `select`
terminal     what the commands print
machine      where and with what a run is made
campaigns/   shipped campaigns
funnels/     shipped funnels
discovered/  shipped discovered programs
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runs.notebook import Run


def load(reference: str | Path) -> Run:
    """A run for notebooks and scripts; see ``runs.notebook``.

    Args:
        reference: its folder, or its name in ``optsearch-runs/``.

    Raises:
        RunError: there is no run, or it cannot be read.
    """
    from runs.notebook import load_run  # here, so that the command line starts at once

    return load_run(reference)
