"""`hydra/sweeper=missing`: the points of an earlier sweep that came to nothing, each in its own folder again."""

import json
import logging
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class Missing(Sweeper):
    """Hands the launcher those points of the sweep in `out` that failed, were lost or never started.

    With `diverged`, those that diverged as well. A point goes on from its newest checkpoint. What the command line
    says beside the launcher's options is not read: the points are those of sweep.json.
    """

    def __init__(
        self, diverged: bool = False, max_batch_size: int | None = None, **others: Any
    ) -> None:
        self.diverged, self.max_batch_size = diverged, max_batch_size

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Raises UserError where `out` has no sweep, and where a point came to nothing again."""
        from isogain import shell
        from isogain.errors import UserError, refuse
        from isogain.launch import hydra_options
        from isogain.status import command, sweeps

        refuse(hydra_options.refusals(self.config, self.config.hydra))
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise UserError(
                f"hydra.sweeper.max_batch_size must be at least 1, got {self.max_batch_size}"
            )

        folder = Path(self.config.hydra.sweep.dir)
        (sweep, *_) = sweeps.find(folder) if folder.is_dir() else [None]
        if sweep is None or sweep.plan is None:
            raise UserError(
                f"out={folder}: has no readable sweep.json; say which sweep with out=FOLDER"
            )
        sweeps.judge([sweep])
        runs = command.rerunnable(sweep, self.diverged)
        if not runs:
            log.info("%s: nothing is missing", folder)
            return []
        self._announce(folder, [run.name for run in runs])
        jobs = command.points(sweep, runs)
        self.validate_batch_is_legal(jobs)
        size = self.max_batch_size or len(jobs)
        done = [
            job
            for start in range(0, len(jobs), size)
            for job in self.launcher.launch(jobs[start : start + size], initial_job_idx=start)
        ]
        failed = sum(job.status != JobStatus.COMPLETED for job in done)
        if failed:
            status = shell.command("python", "-m", "isogain.status", folder)
            raise UserError(f"{failed} of {len(done)} came to nothing again: {status}")
        return done

    def _announce(self, folder: Path, names: Sequence[str]) -> None:
        """Write down what is about to be run again, so that nobody starts it twice."""
        cluster = (
            "slurm"
            if "slurm" in str(self.config.hydra.launcher.get("_target_")).lower()
            else "local"
        )
        order = {
            "time": datetime.now(UTC).isoformat(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "cluster": cluster,
            "folders": list(names),
        }
        with (folder / "reruns.jsonl").open("a") as file:
            file.write(json.dumps(order) + "\n")
            file.flush()
            os.fsync(file.fileno())
