"""Result of `doctor`: facts about a machine, and what of a campaign fits its devices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device of JAX.

    Attributes:
        kind: kind, such as ``NVIDIA H200``.
        platform: ``cpu``, ``gpu`` or ``tpu``.
        memory: memory for workers, in bytes; None if JAX does not report it.
    """

    kind: str
    platform: str
    memory: int | None


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """This machine, as far as it matters to training.

    Attributes:
        about: system, processor with its vector extensions, environment variables and versions of packages.
        cores: number of cores that this process may use.
        memory: memory of the machine, in bytes; None if unknown.
        devices: devices of JAX; empty if it cannot start.
        device_error: reason why JAX cannot start; None if it can.
        cache: folder of compiled loops.
        cache_writable: True if files can be written there.
        cluster_token: True if joining a cluster uses token authentication.
    """

    about: dict[str, str]
    cores: int
    memory: int | None
    devices: tuple[DeviceFacts, ...]
    device_error: str | None
    cache: Path
    cache_writable: bool
    cluster_token: bool

    @property
    def accelerators(self) -> tuple[DeviceFacts, ...]:
        """Devices that are not CPUs."""
        return tuple(device for device in self.devices if device.platform != "cpu")


@dataclass(frozen=True, slots=True)
class TaskFit:
    """Memory of a task of a campaign, and how many lanes fit.

    Attributes:
        task: name of the task.
        parameters: number of parameters of its model.
        lane: memory of a lane by arithmetic, in bytes.
        lane_most: the same if XLA does the final evaluations side by side.
        shared: memory that does not depend on the lanes, in bytes.
        lanes: number of lanes that fit into the memory of a worker, with ``lane_most``; None if the memory is unknown.
    """

    task: str
    parameters: int
    lane: int
    lane_most: int
    shared: int
    lanes: int | None


@dataclass(frozen=True, slots=True)
class SettingsProposal:
    """Proposed settings of a campaign, and options of the command.

    Attributes:
        lanes: setting ``lanes``.
        look_ahead: setting ``look_ahead``.
        workers: option ``--workers``.
        gpus_per_worker: option ``--gpus-per-worker``; 0 without an accelerator.
    """

    lanes: int
    look_ahead: int
    workers: int
    gpus_per_worker: float


@dataclass(frozen=True, slots=True)
class CampaignFit:
    """What of a campaign fits.

    Attributes:
        name: name of the campaign.
        lanes: its setting ``lanes``.
        look_ahead: its setting ``look_ahead``.
        population: its population size.
        device: description of the device that it is planned for.
        worker_memory: memory of a worker on that device, in bytes; None if unknown.
        tasks: its tasks, that of meta-validation included.
        lanes_fit: number of lanes that fit when a worker has trained all tasks; None if the memory is unknown.
        proposal: proposed settings.
    """

    name: str
    lanes: int
    look_ahead: int
    population: int
    device: str
    worker_memory: int | None
    tasks: tuple[TaskFit, ...]
    lanes_fit: int | None
    proposal: SettingsProposal


@dataclass(frozen=True, slots=True)
class Finding:
    """A checked property.

    Attributes:
        good: True if it is as it should be; False if a search would fail; None for a remark.
        says: one sentence.
    """

    good: bool | None
    says: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Result of an examination.

    Attributes:
        machine: the machine.
        campaign: the campaign; None if none was named.
        findings: all findings, in order.
    """

    machine: MachineFacts
    campaign: CampaignFit | None
    findings: tuple[Finding, ...]
