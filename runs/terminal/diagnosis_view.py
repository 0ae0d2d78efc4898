"""Text output of `doctor`. This module only formats; it computes no results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optsearch.runs.terminal.tables import say, table

if TYPE_CHECKING:
    from optsearch.runs.summary.diagnosis import CampaignFit, Diagnosis

_MARKS = {True: "ok  ", False: "FAIL", None: "--  "}


def show_diagnosis(found: Diagnosis) -> None:
    """Prints the findings, then the memory of a campaign's tasks and the proposal."""
    for finding in found.findings:
        say(f"{_MARKS[finding.good]} {finding.says}")
    if found.campaign is not None:
        say()
        _campaign(found.campaign)


def _campaign(fit: CampaignFit) -> None:
    memory = "unknown" if fit.worker_memory is None else f"{fit.worker_memory / 1e9:.3g} GB"
    say(f"Memory by arithmetic on shapes; a worker on {fit.device} has {memory}:")
    table(
        ["task", "parameters", "MB a lane", "at most", "shared MB", "lanes that fit"],
        [
            [
                task.task,
                f"{task.parameters:,}",
                f"{task.lane / 1e6:.1f}",
                f"{task.lane_most / 1e6:.1f}",
                f"{task.shared / 1e6:.1f}",
                None if task.lanes is None else f"{task.lanes:,}",
            ]
            for task in fit.tasks
        ],
        right=["parameters", "MB a lane", "at most", "shared MB", "lanes that fit"],
    )
    proposal = fit.proposal
    gpus = f" --gpus-per-worker {proposal.gpus_per_worker:g}" if proposal.gpus_per_worker else ""
    say()
    say(
        f"Proposal: --set lanes={proposal.lanes} --set look_ahead={proposal.look_ahead} "
        f"--workers {proposal.workers}{gpus}"
    )
    say("lanes and look_ahead decide what a search finds: set them before it starts.")
