"""Points of a sweep computed in processes of their own, a few at a time."""

import logging
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn, JobStatus

from isogain.launch.worker import compute
from isogain.record.run_folder import ways_on
from isogain.record.summary_json import outcome
from isogain.record.sweep_json import Point, point_names

log = logging.getLogger(__name__)
LOADED = ["isogain.training.run", "isogain.training.preflight", "isogain.launch"]


class Running(NamedTuple):
    """A point that is being computed: its number in the launch, its process, and where its result arrives."""

    number: int
    slot: int
    process: Any
    result: Connection


class Pool:
    """Processes that compute points, as many as there are slots, and what came of each."""

    def __init__(
        self, folder: Path, points: Sequence[Point], jobs: int, threads: int, gpus: Sequence[str]
    ) -> None:
        self.folder, self.points, self.threads, self.gpus = folder, points, threads, gpus
        self.names = point_names([point.overrides for point in points])
        self.free = list(range(jobs))
        self.running: list[Running] = []
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(LOADED)

    def results(self, tasks: Iterator[tuple]) -> list[JobReturn]:
        returns: list[JobReturn] = [_lost()] * len(self.points)
        with self._explaining_how_to_go_on():
            for number, task in enumerate(tasks):
                if not self.free:
                    self._collect(returns)
                self._start(number, task)
            while self.running:
                self._collect(returns)
        return returns

    def _start(self, number: int, task: tuple) -> None:
        slot = self.free.pop(0)
        output = self.folder / ".local" / f"{self.points[number].folder}.log"
        output.parent.mkdir(parents=True, exist_ok=True)
        result, sender = self.context.Pipe(duplex=False)
        gpu = self.gpus[slot % len(self.gpus)] if self.gpus else None
        process = self.context.Process(
            target=compute, args=(sender, output, self.threads, gpu, *task)
        )
        process.start()
        sender.close()
        self.running.append(Running(number, slot, process, result))

    def _collect(self, returns: list[JobReturn]) -> None:
        """Wait until a point's process ends, and tell what came of it."""
        ended = set(wait([job.process.sentinel for job in self.running]))
        for job in [job for job in self.running if job.process.sentinel in ended]:
            job.process.join()
            self.running.remove(job)
            self.free.append(job.slot)
            returns[job.number] = _received(job)
            status, why = outcome(self.folder / self.points[job.number].folder)
            if job.process.exitcode < 0:
                why = f"killed by {signal.Signals(-job.process.exitcode).name}"
            done = sum(r.status != JobStatus.UNKNOWN for r in returns)
            log.info(
                "%d/%d  point %s (%s): %s",
                done,
                len(returns),
                self.points[job.number].folder,
                self.names[job.number],
                f"{status}: {why}" if why else status,
            )

    @contextmanager
    def _explaining_how_to_go_on(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:  # Ctrl-C reached every process: they write their records
            for job in self.running:
                job.process.join()
            raise KeyboardInterrupt(f"interrupted; {ways_on(self.folder)}") from None


def _received(job: Running) -> JobReturn:
    try:
        status, value = job.result.recv()
    except EOFError:
        status, value = JobStatus.FAILED, RuntimeError("the process died")
    return JobReturn(status=status, _return_value=value)


def _lost() -> JobReturn:
    return JobReturn(status=JobStatus.UNKNOWN)
