"""`hydra/sweeper=missing`: the points of an earlier sweep that came to nothing, each in its own folder again."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from isogain.record.sweep_json import Point

log = logging.getLogger(__name__)


class Missing(Sweeper):
    """Hands the launcher those points of the sweep in `out` that failed, were lost or never started.

    With `diverged`, those that diverged as well. A point goes on from its newest checkpoint. The points are those of
    sweep.json: what the command line says of them has to be so, and they may not have become others since. That file
    is trusted as much as a command line is, for an override can name any function to build (`_target_`): it is for
    sweeps that you or somebody you trust started. One that another program than train.py started is refused, and so is
    one whose points have overrides for Hydra itself.
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
        """Raises UserError where `out` has no sweep of ours or another one, and where a point came to nothing again."""
        from isogain.analysis.status import rerun
        from isogain.config.errors import UserError, refuse
        from isogain.launch import hydra_options
        from isogain.launch.grid_check import composing
        from isogain.launch.resumption import over, refuse_other_words

        refuse(hydra_options.refusals(self.config, self.config.hydra))
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise UserError(
                f"hydra.sweeper.max_batch_size must be at least 1, got {self.max_batch_size}"
            )

        folder = Path(self.config.hydra.sweep.dir)
        sweep = self._judged(folder)
        runs = rerun.rerunnable(sweep, self.diverged)
        if why := rerun.foreign_program(sweep) or rerun.foreign_override(runs):
            raise UserError(f"out={folder}: {why}; nothing is run")
        compose = composing(self.hydra_context.config_loader, self.config)
        points = [Point(run.name, tuple(run.overrides)) for run in sweep.runs if run.overrides]
        refuse_other_words(folder, points, arguments, compose)
        if not runs:
            log.info("%s: nothing is missing", folder)
            return []
        left = {run.name for run in runs}
        over(folder, [point for point in points if point.folder in left], [], compose)
        self._announce(folder, [run.name for run in runs])
        return self._launched(folder, rerun.points(sweep, runs))

    def _judged(self, folder: Path) -> Any:
        """The sweep in the folder, with the state of its runs; raises UserError where there is none."""
        from isogain.analysis.status import survey
        from isogain.config.errors import UserError

        sweep = next(iter(survey.find(folder) if folder.is_dir() else []), None)
        if sweep is None or sweep.plan is None:
            raise UserError(
                f"out={folder}: has no readable sweep.json; say which sweep with out=FOLDER"
            )
        survey.judge([sweep])
        return sweep

    def _launched(self, folder: Path, jobs: list[list[str]]) -> list[JobReturn]:
        """What became of the points, so many at a time; raises UserError where one came to nothing again."""
        from isogain.config import shell
        from isogain.config.errors import UserError

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
        from isogain.record.atomic import append
        from isogain.record.processes import this_process

        cluster = (
            "slurm"
            if "slurm" in str(self.config.hydra.launcher.get("_target_")).lower()
            else "local"
        )
        order = {
            "time": datetime.now(UTC).isoformat(),
            **this_process(),
            "cluster": cluster,
            "folders": list(names),
        }
        append(folder / "reruns.jsonl", json.dumps(order).encode() + b"\n")
