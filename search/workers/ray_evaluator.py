"""Multi-process evaluation on Ray, on this machine or on a cluster.

Each worker is a Ray actor with its own trainers (see `optsearch.search.workers.crew`). Jobs are sent in batches, as
program text. An exception in an evaluation is a bug and ends the search with an error that includes the program's text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.compilation import DeviceError
from optsearch.proxy_tasks.machine import accelerator, environment, processor
from optsearch.search.scoring.evaluate import EvaluationError, evaluate_named, prepare_worker, trainers_of_process
from optsearch.search.scoring.fitness import Fitness, Job, JobKind, Reference, Setting
from optsearch.search.workers.crew import ABREAST, ATTEMPTS, Batch, Crew
from optsearch.search.workers.ray_pool import RayPool


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job as sent to a worker.

    Attributes:
        ticket: as in ``Job``.
        text: text of the program.
        reference: as in ``Job``.
        keep_curves: as in ``Job``.
        kind: as in ``Job``.
    """

    ticket: int
    text: str
    reference: Reference | None
    keep_curves: bool
    kind: JobKind

    @classmethod
    def of(cls, job: Job) -> Parcel:
        """Packs a job."""
        return cls(job.ticket, str(job.program), job.reference, job.keep_curves, job.kind)

    def job(self) -> Job:
        """Unpacks the job."""
        return Job(self.ticket, parse(self.text), self.reference, self.keep_curves, self.kind)


class _Worker:
    """The Ray actor of a worker.

    Args:
        setting: definition of the fitness.
        gpus: share of a GPU; 0 for none.
    """

    def __init__(self, setting: Setting, gpus: float):
        self._setting, self._gpus = setting, gpus
        self._trainers = trainers_of_process(setting.method, setting.lanes)
        prepare_worker(gpus, setting.imports)

    def machine(self) -> str:
        """Returns the kind of machine on which the worker runs."""
        kind = f"{processor()} with {accelerator()}" if self._gpus else processor()
        return " and ".join(filter(None, (kind, environment())))

    def evaluate(self, parcels: Sequence[Parcel]) -> list[Fitness]:
        """Evaluates a batch and returns the fitness of each job in order."""
        return evaluate_named(self._trainers, self._setting, [parcel.job() for parcel in parcels])


class RayEvaluator(Crew[Job, Fitness]):
    """Evaluator on Ray actors.

    Args:
        setting: definition of the fitness.
        workers: number of actors; None for as many as fit into the cluster: one per core, or per share of a GPU.
        address: address of a Ray cluster, such as ``auto`` or ``ray://host:10001``. Defaults to a local Ray instance.
        gpus: share of a GPU per worker; 0 for none.

    Raises:
        WorkerError: Ray cannot be started or joined, or no node has the resources of a worker.
    """

    _raised: ClassVar[tuple[type[Exception], ...]] = (EvaluationError, DeviceError)

    def __init__(self, setting: Setting, workers: int | None, *, address: str | None = None, gpus: float = 0.0):
        super().__init__(_Worker, (setting, gpus), workers, address=address, gpus=gpus)
        self._setting = setting

    def submit(self, jobs: Sequence[Job]) -> None:
        """Enqueues a batch of jobs for the next free worker."""
        # A long meta-validation occupies a worker completely, so that no batch waits behind it.
        is_long = any(job.kind is JobKind.META_VALIDATION for job in jobs)
        self._enqueue(Batch(tuple(jobs), load=ABREAST if is_long else 1))

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        """Returns the results of completed batches; waits up to ``timeout_s`` for the first.

        Raises:
            EvaluationError: an evaluation raised an exception.
            WorkerError: Ray is lost, workers cannot be created, or they die repeatedly on the same batch.
        """
        return self._ended(timeout_s) if self._flying or self._queue else []

    def pool(self, run: Callable[[Any], Any]) -> RayPool[Any, Any]:
        """Creates a pool on the workers' cores. This ends the workers; the evaluator accepts no more jobs."""
        for worker in self._workers:
            self._ray.kill(worker)
        count, self._workers = len(self._workers), []
        self._starting.clear()
        return RayPool(run, count, imports=self._setting.imports)

    def _send(self, worker: Any, calls: Sequence[Job]) -> Any:
        return worker.evaluate.remote([Parcel.of(job) for job in calls])

    def _complaint(self, calls: Sequence[Job]) -> str:
        programs = "\n".join(str(job.program) for job in calls)
        return f"{ATTEMPTS} workers died while these programs were evaluated:\n{programs}"
