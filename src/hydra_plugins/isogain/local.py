"""`hydra/launcher=local` (cluster=local): the points of a sweep side by side on this machine, a process each.

Every process is forked from one that has torch loaded and nothing else done, so that a point costs no start-up and
its death, by whatever signal, is its own.
"""

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import (
    JobReturn,
    JobRuntime,
    JobStatus,
    env_override,
    run_job,
    setup_globals,
)
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from isogain.errors import ConfigError
from isogain.sweep import Point, enlist, numbered, outcome, swept

log = logging.getLogger(__name__)
LOADED = ["isogain.run", "isogain.rehearsal", "isogain.launch"]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class LocalConf:
    """See conf/cluster/local.yaml."""

    _target_: str = "hydra_plugins.isogain.local.LocalLauncher"
    jobs: int | None = None
    threads: int | None = None


ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalConf, provider="isogain"
)


class Running(NamedTuple):
    """A point that is being computed: its number in the launch, its process, and where its result arrives."""

    number: int
    slot: int
    process: Any
    result: Connection


class LocalLauncher(Launcher):
    """`jobs` points at a time, each on `threads` threads; of several GPUs every point sees one."""

    def __init__(self, jobs: int | None = None, threads: int | None = None) -> None:
        self.jobs, self.threads = jobs, threads

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        for name, value in (("jobs", self.jobs), ("threads", self.threads)):
            if value is not None and value < 1:
                raise ConfigError(f"hydra.launcher.{name} must be at least 1, got {value}")
        self.hydra_context, self.config = hydra_context, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        points = numbered(job_overrides, initial_job_idx)
        folder = Path(self.config.hydra.sweep.dir)
        enlist(folder, points, "local")
        devices = self.config.trainer.devices
        each = devices if isinstance(devices, int) and devices > 1 else 1  # processes of a point
        found = _gpus() if self.config.trainer.accelerator != "cpu" else []
        gpus = [",".join(found[i : i + each]) for i in range(0, len(found) - each + 1, each)]
        jobs, threads = _shares(self.jobs, self.threads, len(gpus), len(points), each)
        said = f"{threads} thread{'s' * (threads > 1)} each" + f" of {each} processes" * (each > 1)
        log.info("%d points, %d at a time, %s, in %s", len(points), jobs, said, folder)
        pool = Pool(folder, points, jobs, threads, gpus)
        state = pickle.dumps((self.hydra_context, self.config, JobRuntime.instance().get("name")))
        with env_override({name: str(threads) for name in THREADS}):  # read as torch is loaded
            return pool.results(
                (state, list(job), initial_job_idx + n) for n, job in enumerate(job_overrides)
            )


class Pool:
    """Processes that compute points, as many as there are slots, and what came of each."""

    def __init__(
        self, folder: Path, points: Sequence[Point], jobs: int, threads: int, gpus: Sequence[str]
    ) -> None:
        self.folder, self.points, self.threads, self.gpus = folder, points, threads, gpus
        self.names = swept([point.overrides for point in points])
        self.free = list(range(jobs))
        self.running: list[Running] = []
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(LOADED)

    def results(self, tasks: Iterator[tuple]) -> list[JobReturn]:
        returns: list[JobReturn] = [_lost()] * len(self.points)
        with self._told_how_to_go_on():
            for number, task in enumerate(tasks):
                if not self.free:
                    self._collect(returns)
                self._start(number, task)
            while self.running:
                self._collect(returns)
        return returns

    def _start(self, number: int, task: tuple) -> None:
        slot = self.free.pop(0)
        said = self.folder / ".local" / f"{self.points[number].folder}.log"
        said.parent.mkdir(parents=True, exist_ok=True)
        result, sender = self.context.Pipe(duplex=False)
        gpu = self.gpus[slot % len(self.gpus)] if self.gpus else None
        process = self.context.Process(
            target=_compute, args=(sender, said, self.threads, gpu, *task)
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
    def _told_how_to_go_on(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:  # Ctrl-C reached every process: they write their records
            for job in self.running:
                job.process.join()
            raise KeyboardInterrupt(
                f"interrupted; the same command with out={self.folder} resume=true goes on"
            ) from None


def _received(job: Running) -> JobReturn:
    try:
        status, value = job.result.recv()
    except EOFError:
        status, value = JobStatus.FAILED, RuntimeError("the process died")
    return JobReturn(status=status, _return_value=value)


def _lost() -> JobReturn:
    return JobReturn(status=JobStatus.UNKNOWN)


def _compute(
    sender: Connection,
    said: Path,
    threads: int,
    gpu: str | None,
    state: bytes,
    overrides: list[str],
    number: int,
) -> None:
    """Compute one point in this process; what it prints goes to the file `said`."""
    with said.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # CUDA has not been asked yet
    import torch
    from tqdm import tqdm

    from isogain.launch import job

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    torch.set_num_threads(threads)
    context, config, name = pickle.loads(state)
    Plugins.instance()  # the options of launchers and sweepers are part of the config
    JobRuntime.instance().set("name", name)
    setup_globals()
    point = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(point.hydra.job):
        point.hydra.job.id = point.hydra.job.num = number
    _let_others_join(point)
    try:
        returned = run_job(
            hydra_context=context,
            task_function=job,  # what train.py's main calls; that lies in __main__ and cannot be pickled
            config=point,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except KeyboardInterrupt as end:  # its record is written
        print(str(end) or "interrupted", file=sys.stderr)
        sys.exit(getattr(end, "code", 130))
    value = returned._return_value
    if returned.status == JobStatus.FAILED:
        traceback.print_exception(value)
        value = RuntimeError(
            f"{type(value).__name__}: {value}"
        )  # not every exception can be pickled
    sender.send((returned.status, value))


def _let_others_join(point: DictConfig) -> None:
    """Make the processes that Lightning starts beside this one, for a run on several devices, part of this point.

    It calls `sys.argv` again with hydra.run.dir added, and that would be the whole sweep.
    """
    sweep = get_args_parser().parse_args(sys.argv[1:]).overrides
    flags = [word for word in sys.argv[1:] if word not in ("-m", "--multirun", *sweep)]
    sys.argv[1:] = [*flags, *point.hydra.overrides.task]
    point.hydra.run.dir = os.path.abspath(f"{point.hydra.sweep.dir}/{point.hydra.sweep.subdir}")


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    count = torch.cuda.device_count()
    return named[:count] if named[0] else [str(i) for i in range(count)]


def _shares(
    jobs: int | None, threads: int | None, gpus: int, points: int, each: int = 1
) -> tuple[int, int]:
    """(points at a time, threads of each process): a point for every one of `gpus`, else a core for every process.

    What the user says comes first; a point has `each` processes. One on more threads than it has cores waits at
    every step for a thread that does not run.
    """
    cores = max(1, len(os.sched_getaffinity(0)) // each)
    jobs = jobs or gpus or max(1, cores // (threads or 1))
    jobs = min(jobs, max(points, 1))
    return jobs, threads or max(1, cores // jobs)
