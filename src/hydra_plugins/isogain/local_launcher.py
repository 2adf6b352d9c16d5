"""`hydra/launcher=local` (cluster=local): the points of a sweep side by side on this machine, a process each.

Every process is forked from one that has torch loaded and nothing else done, so that a point costs no start-up and
its death, by whatever signal, is its own.
"""

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobRuntime, env_override
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from isogain.config.errors import ConfigError, refuse
from isogain.launch.pool import Pool
from isogain.record.sweep_json import enlist, numbered_points
from isogain.training import machine

log = logging.getLogger(__name__)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class LocalConf:
    """See conf/cluster/local.yaml."""

    _target_: str = "hydra_plugins.isogain.local_launcher.LocalLauncher"
    jobs: int | None = None
    threads: int | None = None


ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalConf, provider="isogain"
)


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
        refuse(_too_many(self.jobs, self.threads, _processes(config)))
        self.hydra_context, self.config = hydra_context, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        points = numbered_points(job_overrides, initial_job_idx)
        folder = Path(self.config.hydra.sweep.dir)
        enlist(folder, points, "local")
        each = _processes(self.config)
        visible = _gpus() if self.config.trainer.accelerator != "cpu" else []
        gpus = [",".join(visible[i : i + each]) for i in range(0, len(visible) - each + 1, each)]
        jobs, threads = _shares(self.jobs, self.threads, len(gpus), len(points), each)
        shares = f"{threads} thread{'s' * (threads > 1)} each" + f" of {each} processes" * (
            each > 1
        )
        log.info("%d points, %d at a time, %s, in %s", len(points), jobs, shares, folder)
        pool = Pool(folder, points, jobs, threads, gpus)
        state = pickle.dumps((self.hydra_context, self.config, JobRuntime.instance().get("name")))
        with env_override({name: str(threads) for name in THREADS}):  # read as torch is loaded
            return pool.results(
                (state, list(job), initial_job_idx + n) for n, job in enumerate(job_overrides)
            )


def _processes(config: DictConfig) -> int:
    """Those of a point."""
    devices = OmegaConf.select(config, "trainer.devices")
    return devices if isinstance(devices, int) and devices > 1 else 1


def _too_many(jobs: int | None, threads: int | None, each: int) -> Iterator[str]:
    """A line where points at a time, of `each` processes, or their threads are more than this machine has cores."""
    cores, of = machine.cores(), f" of {each} processes each" * (each > 1)
    have = f"this machine has {cores} core{'s' * (cores > 1)} and {machine.memory() / 1e9:,.0f} GB"
    if jobs and jobs * each > max(cores, each):
        need = f"{jobs} points at a time{of}, half a GB a process and more"
        yield f"hydra.launcher.jobs={jobs}: {need}, and {have}: use at most {max(1, cores // each)}"
    if threads and threads > cores:
        yield f"hydra.launcher.threads={threads}: {have}"


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
