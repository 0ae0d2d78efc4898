"""Own tasks of runs: their code is not part of a run and is imported only by reference on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optsearch.runs.store.errors import RunError
from optsearch.search.config import CampaignConfig


def require_imports(folder: Path, config: CampaignConfig, imports: Sequence[str], command: str) -> None:
    """Checks that the own tasks of a run may be imported.

    Args:
        folder: the run folder.
        config: its campaign.
        imports: references of tasks that the user has named.
        command: the command that needs them.

    Raises:
        RunError: a task of the run is not among them; the message names the option.
    """
    if unsaid := [reference for reference in config.imports if reference not in imports]:
        options = " ".join(f"--import {reference}" for reference in unsaid)
        raise RunError(
            f"{folder}: the run trains on {', '.join(unsaid)}, whose code is not part of the run: if you trust it, "
            f"{command} with {options}"
        )
