"""`hydra/sweeper=grid`: Hydra's grid, refused as a whole where one point could not run, and accounted for."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from isogain.config import shell
from isogain.config.errors import ConfigError, UserError, refuse
from isogain.record.summary_json import outcome
from isogain.record.sweep_json import (
    Point,
    abridged,
    enlist,
    in_one_process,
    listed,
    point_names,
)

log = logging.getLogger(__name__)


@dataclass
class GridConf(BasicSweeperConf):
    """That of Hydra's own grid."""

    _target_: str = "hydra_plugins.isogain.grid_sweeper.GridSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridConf, provider="isogain")


class GridSweeper(BasicSweeper):
    """One run for every combination of the values; point n has the folder n.

    With resume=true the points whose run is over are left out. Raises UserError, with a line a point, before
    anything is created where points could not run, and at the end where runs failed or were lost.
    """

    def sweep(self, arguments: list[str]) -> list[Any]:
        from isogain.config.typed_range import spelled_out

        given = [f"{key}={value}" for key, value in (self.params or {}).items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = spelled_out(parser.parse_overrides([*given, *arguments]))
        (grid,) = self.split_arguments(overrides, None)
        points = [Point(str(n), tuple(overrides)) for n, overrides in enumerate(grid)]
        folder = Path(self.config.hydra.sweep.dir)
        over = self._over(folder, points)
        self._check(points)
        if hasattr(self.launcher, "refuse"):
            self.launcher.refuse()
        cluster = self.config.hydra.runtime.choices.get("cluster", "none")
        enlist(folder, points, cluster, renew=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        left = [point for point in points if point.folder not in over]
        if self.config.resume:
            log.info("%d of %d points are over; %d go on", len(over), len(points), len(left))
        returns = self._launched(left)
        account(folder, points)
        return returns

    def _over(self, folder: Path, points: Sequence[Point]) -> set[str]:
        """The folders of the points whose run is over; raises ConfigError where the sweep in `folder` is another one,
        or this one and not to be resumed.
        """
        from isogain.launch.grid_check import composing
        from isogain.launch.resumption import over

        there = (folder / "sweep.json").exists()
        if there and not self.config.resume:
            raise ConfigError(
                f"out={folder}: holds a sweep already; choose another, or resume=true"
            )
        if not self.config.resume:
            return set()
        compose = composing(self.hydra_context.config_loader, self.config)
        return over(folder, points, listed(folder) if there else [], compose)

    def _check(self, points: Sequence[Point]) -> None:
        """Raise ConfigError where points could not run."""
        from isogain.launch import hydra_options, one_line
        from isogain.launch.grid_check import composing, refusals

        refuse(hydra_options.refusals(self.config, self.config.hydra))
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise ConfigError(
                f"hydra.sweeper.max_batch_size must be at least 1, got {self.max_batch_size}"
            )
        if any(o.startswith("hydra.sweep.subdir=") for o in self.config.hydra.overrides.hydra):
            raise ConfigError("hydra.sweep.subdir: the folders of a grid's points are numbered")
        names = point_names([point.overrides for point in points])
        composed = composing(self.hydra_context.config_loader, self.config)
        refused = refusals(
            [point.overrides for point in points],
            composed.compose,
            composed.groups,
            here=getattr(self.launcher, "here", True),
            shared=in_one_process(self.config.hydra),
            begun=(Path(self.config.hydra.sweep.dir) / "sweep.json").exists(),
        )
        lines = []
        for number, error in refused:
            message = str(error) if isinstance(error, UserError) else one_line(error)
            lines.append(f"point {number} ({names[number]}): {'; '.join(message.splitlines())}")
        if lines:
            raise ConfigError("\n".join(abridged(lines) + ["nothing was started"]))

    def _launched(self, points: Sequence[Point]) -> list[Any]:
        jobs = [[*point.overrides, f"hydra.sweep.subdir={point.folder}"] for point in points]
        returns, first = [], 0
        for batch in self.split_overrides_to_chunks(jobs, self.max_batch_size) if jobs else []:
            returns.append(self.launcher.launch(batch, initial_job_idx=first))
            first += len(batch)
        return returns


def account(folder: Path, points: Sequence[Point]) -> None:
    """Log how the runs ended; raises UserError with a line for each that failed or was lost."""
    names = point_names([point.overrides for point in points])
    outcomes = [outcome(folder / point.folder) for point in points]
    statuses = [status for status, _ in outcomes]
    counts = ", ".join(
        f"{statuses.count(s)} {s}" for s in sorted(set(statuses), key=statuses.index)
    )
    log.info("%d points: %s; in %s", len(points), counts, folder)
    bad = [
        f"point {point.folder} ({name}): {status}: {why.splitlines()[0] if why else 'no reason given'}"
        for point, name, (status, why) in zip(points, names, outcomes, strict=True)
        if not status.is_good
    ]
    if bad:
        status = shell.command("python", "-m", "isogain.status", folder)
        raise UserError("\n".join([*abridged(bad), f"{status} has them all"]))
