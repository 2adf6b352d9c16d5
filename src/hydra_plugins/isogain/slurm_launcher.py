"""`hydra/launcher=slurm` (cluster=slurm): the points of a sweep as job arrays, through hydra-submitit-launcher.

The plugin alone raises the first failure it meets and tells no other, waits for ever for a job that was killed where
there is no accounting, and submits one array however long; the jobs themselves are as it makes them.
"""

import logging
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from isogain.config import shell
from isogain.config.errors import UserError
from isogain.launch.slurm_queue import wait
from isogain.record.sweep_json import enlist, numbered_points

try:
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, SlurmQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as Submitit
except ImportError:  # the extra `slurm` is not installed, and whoever asks for it gets a line
    Submitit = None

log = logging.getLogger(__name__)
TARGET = "hydra_plugins.isogain.slurm_launcher.SlurmLauncher"

if Submitit is None:
    SlurmConf: Any = {"_target_": TARGET}
else:

    @dataclass
    class SlurmConf(SlurmQueueConf):
        """See conf/cluster/slurm.yaml."""

        _target_: str = TARGET


ConfigStore.instance().store(
    group="hydra/launcher", name="slurm", node=SlurmConf, provider="isogain"
)


class SlurmLauncher(Submitit or Launcher):
    """One job a point, in as few arrays as the cluster allows, all of them queued at once.

    It returns when every job has ended; the jobs do not need it. Raises UserError where the extra or SLURM is missing,
    and where sbatch refuses.
    """

    here = False  # the points run on other machines

    def __init__(self, **params: Any) -> None:
        if Submitit is not None:
            super().__init__(**params)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        if Submitit is None:
            raise UserError("cluster=slurm needs submitit: pip install -e '.[slurm]'")
        if not shutil.which("sbatch"):
            raise UserError(
                "cluster=slurm: there is no sbatch here; submit from a login node, or use cluster=local"
            )
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def refuse(self) -> None:
        """Raise UserError where sbatch would not take such a job; nothing is submitted."""
        script = self._executor()._executor._make_submission_file_text("true", "")
        command = ["sbatch", "--test-only"]
        submitted = subprocess.run(command, input=script, capture_output=True, text=True)
        if submitted.returncode:
            raise UserError(f"cluster=slurm: {_reason(submitted.stderr)}")

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        points = numbered_points(job_overrides, initial_job_idx)
        folder = Path(self.config.hydra.sweep.dir)
        enlist(folder, points, "slurm")
        jobs = self._submitted(job_overrides, initial_job_idx)
        ids = sorted({job.job_id.partition("_")[0] for job in jobs}, key=int)
        log.info(
            "%d point%s in %s, SLURM job%s %s",
            len(jobs),
            "s" * (len(jobs) > 1),
            folder,
            "s" * (len(ids) > 1),
            " ".join(ids),
        )
        status = shell.command("python", "-m", "isogain.status", folder)
        log.info("how they are: %s", status)
        log.info(
            "they do not need this process: Ctrl-C ends the waiting, `scancel %s` the jobs",
            " ".join(ids),
        )
        try:
            return wait(jobs)
        except KeyboardInterrupt:
            message = f"no longer waiting; the jobs go on: {status}"
            raise KeyboardInterrupt(message) from None

    def _submitted(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Any]:
        """Submit an array for every `MaxArraySize` points; the arrays share the number of jobs that run at once."""
        from submitit.core.utils import FailedJobError

        sizes = equal_parts(len(job_overrides), max_array_size())
        executor = self._executor(max(1, self.params["array_parallelism"] // len(sizes)))
        state, jobs = Singleton.get_state(), []
        for size in sizes:
            numbers = range(len(jobs), len(jobs) + size)
            calls = [
                (
                    list(job_overrides[n]),
                    "hydra.sweep.dir",
                    first + n,
                    f"job_id_for_{first + n}",
                    state,
                )
                for n in numbers
            ]
            try:
                jobs += executor.map_array(self, *zip(*calls, strict=True))
            except FailedJobError as error:
                done = f"{len(jobs)} of {len(job_overrides)} points were submitted"
                raise UserError(f"cluster=slurm: {_reason(str(error))}; {done}") from None
        return jobs

    def _executor(self, parallelism: int | None = None) -> Any:
        """What submits, with the parameters of conf/cluster/slurm.yaml under submitit's names."""
        import submitit

        params = dict(self.params)
        if parallelism:
            params["array_parallelism"] = parallelism
        executor = submitit.AutoExecutor(
            folder=params.pop("submitit_folder"),
            cluster="slurm",
            slurm_max_num_timeout=params.pop("max_num_timeout"),
        )
        general = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(
            **{k if k in general else f"slurm_{k}": v for k, v in params.items()}
        )
        return executor


def equal_parts(count: int, most: int) -> list[int]:
    """`count` split into as few parts of at most `most` as there can be, of nearly the same size."""
    parts = -(-count // most)
    return [count // parts + (n < count % parts) for n in range(parts)]


def max_array_size(default: int = 1001) -> int:
    """The jobs that one array of this cluster may have; SLURM's own default where it does not say."""
    answer = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True)
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer.stdout, re.M)
    return int(match[1]) if match else default


def _reason(errors: str) -> str:
    """What sbatch says of an error, in one line."""
    lines = [line.partition("error: ")[2] or line for line in errors.strip().splitlines()]
    return "; ".join(dict.fromkeys(lines)) or "sbatch refuses"
