"""Examines this machine, and what of a campaign fits its devices; proposes settings.

Memory is computed by arithmetic on shapes (``optsearch.proxy_tasks.memory``), so that a campaign can be planned for a
GPU of another machine. Nothing is trained and no Ray is started.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from optsearch.dsl.functions import FUNCTIONS, Scope
from optsearch.proxy_tasks.compilation import DeviceError, cache_folder, import_jax
from optsearch.proxy_tasks.machine import with_variables
from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.commands.search import load_named
from optsearch.runs.store.environment import about_machine, available_cores, memory_bytes
from optsearch.runs.summary.diagnosis import (
    CampaignFit,
    DeviceFacts,
    Diagnosis,
    Finding,
    MachineFacts,
    SettingsProposal,
    TaskFit,
)
from optsearch.search.config import CampaignConfig
from optsearch.search.scoring.evaluate import import_own_tasks
from optsearch.search.workers.cluster import unauthenticated

AT_ONCE = 4.5
"""XLA may do the three evaluations at the end of a run side by side, as it does on a CPU; it then takes up to this
multiple of the memory of a lane (``tests/proxy_tasks/test_memory.py``)."""

USABLE = 0.9
"""Share of a device's memory that workers use; the rest is for drivers."""

MOST_LANES = 1024
"""Lanes that are proposed, at most: from there on, scripts grow with the lanes (docs/evaluator.md)."""

WORKERS_A_DEVICE = 2
"""Proposed workers for each accelerator: while one encodes programs and reads results, the other one's batch runs."""

WORKER_BYTES = 700_000_000
"""Memory of a worker on a CPU at its peak, in bytes (docs/evaluator.md)."""


def examine(campaign: str | None, overrides: Sequence[str] = (), device_memory: float | None = None) -> Diagnosis:
    """Examines this machine and a campaign.

    Args:
        campaign: name of a shipped campaign or path of a file; None for the machine alone.
        overrides: ``key.sub=value`` settings.
        device_memory: memory of the accelerator to plan for, in bytes. Defaults to that of this machine's devices.

    Raises:
        ConfigError: the campaign does not exist or is invalid.
        TaskError: a user-defined task cannot be imported.
    """
    config = None if campaign is None else load_named(campaign, overrides)[0]
    machine = examine_machine()
    found = [*_machine_findings(machine)]
    if config is None:
        return Diagnosis(machine, None, tuple(found))
    fit = fit_campaign(config, machine, device_memory)
    return Diagnosis(machine, fit, (*found, *_campaign_findings(fit)))


def examine_machine() -> MachineFacts:
    """Collects the facts about this machine; initialises JAX."""
    devices: tuple[DeviceFacts, ...] = ()
    error: str | None = None
    try:
        devices = _devices()
    except DeviceError as reason:
        error = str(reason)
    folder = cache_folder()
    return MachineFacts(
        about=about_machine(),
        cores=available_cores(),
        memory=memory_bytes(),
        devices=devices,
        device_error=error,
        cache=folder,
        cache_writable=_writable(folder),
        cluster_token=not unauthenticated(),
    )


def _devices() -> tuple[DeviceFacts, ...]:
    whole = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{USABLE}"}
    with with_variables(whole):  # JAX reports the memory that workers may use, and does not take it
        jax = import_jax()
        try:
            found = jax.devices()
        except RuntimeError as error:
            raise DeviceError(f"JAX finds no device: {error}") from error
        statistics = [device.memory_stats() or {} for device in found]
    return tuple(
        DeviceFacts(str(device.device_kind), str(device.platform), memory.get("bytes_limit"))
        for device, memory in zip(found, statistics, strict=True)
    )


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def fit_campaign(config: CampaignConfig, machine: MachineFacts, device_memory: float | None = None) -> CampaignFit:
    """Computes what of a campaign fits.

    Args:
        config: the settings.
        machine: the machine.
        device_memory: as in `examine`.
    """
    from optsearch.proxy_tasks.memory import lane_memory

    import_own_tasks(config.imports)
    devices = machine.accelerators
    if device_memory is not None:
        planned = f"an accelerator with {device_memory / 1e9:.4g} GB"
        devices = (DeviceFacts(planned, "gpu", round(USABLE * device_memory)),)
    device = devices[0].kind if devices else "CPU"
    # Ray gives every worker a core too; the machine of a planned device is not known.
    enough = device_memory is not None or machine.cores >= WORKERS_A_DEVICE * len(devices)
    abreast = WORKERS_A_DEVICE if enough else 1
    workers = abreast * len(devices) if devices else _cpu_workers(machine)
    share = 1 / abreast if devices else 0.0
    total = devices[0].memory if devices else machine.memory
    memory = None if total is None else round(total / (abreast if devices else workers))
    called = set(config.functions or ())
    called |= {statement.function for program in config.warm_start_programs for statement in program.body}
    matrices = any(FUNCTIONS[name].scope is Scope.MATRIX for name in called)
    tasks = [get_task(name) for name in config.tasks]
    found = [lane_memory(task, matrices=matrices) for task in tasks]

    def lanes(shared: int, each: float) -> int | None:
        return None if memory is None else max(int((memory - shared) / each), 0)

    fits = tuple(
        TaskFit(
            task.name,
            task.parameters,
            one.lane,
            round(AT_ONCE * one.lane),
            one.shared,
            lanes(one.shared, AT_ONCE * one.lane + one.kept),
        )
        for task, one in zip(tasks, found, strict=True)
    )
    # A worker keeps the data and inputs of all its tasks, and computes one task at a time.
    each = AT_ONCE * max(one.lane for one in found) + sum(one.kept for one in found)
    together = lanes(sum(one.shared for one in found), each)
    proposal = _proposal(config, together, workers, share)
    return CampaignFit(
        config.name, config.lanes, config.look_ahead, config.population.size, device, memory, fits, together, proposal
    )


def _cpu_workers(machine: MachineFacts) -> int:
    if machine.memory is None:
        return machine.cores
    return max(min(machine.cores, machine.memory // WORKER_BYTES), 1)


def _proposal(config: CampaignConfig, fit: int | None, workers: int, share: float) -> SettingsProposal:
    if not share:
        look_ahead = max(config.look_ahead, 4 * workers * config.batch_size)
        return SettingsProposal(1, look_ahead, workers, 0.0)
    lanes = min(MOST_LANES, fit if fit else 1)
    lanes = 2 ** (lanes.bit_length() - 1)
    return SettingsProposal(lanes, 4 * lanes * workers, workers, share)


def _machine_findings(machine: MachineFacts) -> Generator[Finding]:
    about = machine.about
    if machine.device_error is not None:
        yield Finding(False, machine.device_error)
    else:
        kinds = ", ".join(sorted({f"{device.kind} ({device.platform})" for device in machine.devices}))
        count = len(machine.devices)
        yield Finding(True, f"JAX {about['jax']} has {count} device{'' if count == 1 else 's'}: {kinds}")
    if machine.devices and not machine.accelerators:
        yield Finding(None, "there is no accelerator: workers train on one CPU core each, and one lane is the fastest")
    if about["environment"]:
        yield Finding(None, f"these variables may change results: {about['environment']}")
    memory = "memory unknown" if machine.memory is None else f"{machine.memory / 1e9:.1f} GB of memory"
    yield Finding(True, f"{machine.cores} core{'' if machine.cores == 1 else 's'}, {memory}: {about['processor']}")
    if machine.cache_writable:
        yield Finding(True, f"compiled loops are kept in {machine.cache}")
    else:
        yield Finding(
            None,
            f"compiled loops cannot be kept in {machine.cache}, so every worker compiles anew: make it writable, or "
            "set JAX_COMPILATION_CACHE_DIR",
        )
    yield Finding(True, f"Ray {about['ray']}; a local Ray has a token of its own")
    if machine.cluster_token:
        yield Finding(True, "a cluster is joined with token authentication")
    else:
        yield Finding(
            None,
            "RAY_AUTH_MODE is not token: a cluster would be joined without authentication (docs/cluster.md)",
        )


def _campaign_findings(fit: CampaignFit) -> Generator[Finding]:
    lanes = f"{fit.lanes} lane{'' if fit.lanes == 1 else 's'}"
    if fit.lanes_fit is None:
        yield Finding(None, f"{fit.name}: the memory of {fit.device} is unknown: give it with --device-memory")
    elif fit.lanes > fit.lanes_fit:
        yield Finding(
            False,
            f"{fit.name}: {lanes} may not fit into the memory of a worker on {fit.device}, which has room for "
            f"{fit.lanes_fit:,}: use fewer lanes, or fewer workers on a device",
        )
    else:
        fits = "fits" if fit.lanes == 1 else "fit"
        yield Finding(True, f"{fit.name}: {lanes} {fits} on {fit.device}; there is room for {fit.lanes_fit:,}")
    least = 4 * fit.lanes * fit.proposal.workers
    if fit.lanes > 1 and fit.look_ahead < least:
        yield Finding(
            None,
            f"{fit.name}: look_ahead is {fit.look_ahead}: with {fit.proposal.workers} workers of {lanes}, lanes stay "
            f"empty below {least}",
        )
    if fit.proposal.look_ahead > fit.population:
        yield Finding(
            None,
            f"{fit.name}: the proposed look_ahead of {fit.proposal.look_ahead:,} exceeds population.size, "
            f"{fit.population:,}: programs are then children of a population that has been replaced meanwhile; fewer "
            "lanes or a larger population avoid this",
        )
