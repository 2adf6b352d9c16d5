"""The writer of `sweep.json`: the points of a sweep, on the disk before the first of them begins."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from isogain.config.errors import ConfigError
from isogain.record.atomic import replaced
from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_object
from isogain.record.processes import this_process
from isogain.record.sweep_points import NAME, read_plan

LINES = 20  # about single points, before the others are only counted


class Point(NamedTuple):
    """One run of a sweep: its folder below the sweep's, and the overrides that make it."""

    folder: str
    overrides: tuple[str, ...]


def enlist(
    folder: Path,
    points: Sequence[Point],
    cluster: str,
    renew: bool = False,
    sweeper: str | None = None,
) -> None:
    """Add to `sweep.json` those of `points` that it does not list yet; the file is made where there is none.

    `renew`: points that it lists get the overrides that they have now. `sweeper`: the name of one that chooses points
    as it goes on; the file then names this process as the one at work. Raises ConfigError where the file cannot be
    read.
    """
    path = folder / NAME
    there = path.exists()
    before = {point.folder: point for point in listed(folder)} if there else {}
    after = dict(before)
    for point in points:
        if renew or point.folder not in after:
            after[point.folder] = point
    if there and after == before and sweeper is None:
        return
    sweep = _content(path) if there else {}
    if sweeper or not there:
        sweep |= _starter(cluster, sweeper)
    sweep["points"] = [point._asdict() for point in after.values()]
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(path) as part:
        part.write_text(json.dumps(sweep, indent=1) + "\n")


def _content(path: Path) -> dict[str, Any]:
    """All keys of the file, unknown ones too; raises ConfigError."""
    try:
        return json_object(path)
    except (FileNotFoundError, Damaged) as error:
        raise ConfigError(f"{path}: not the list of a sweep ({error})") from None


def _starter(cluster: str, sweeper: str | None) -> dict[str, Any]:
    """The command and the process that computes the sweep from now on."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    starter = {"command": sys.argv, "time": now, **this_process(), "cluster": cluster}
    return starter | ({"sweeper": sweeper} if sweeper else {})


def numbered_points(jobs: Sequence[Sequence[str]], first: int) -> list[Point]:
    """The points of a launcher's jobs, each in the folder of its number, or in the one that its overrides name."""
    key = "hydra.sweep.subdir="
    folders = [next((o[len(key) :] for o in job if o.startswith(key)), None) for job in jobs]
    return [
        Point(folder or str(first + n), tuple(o for o in job if not o.startswith(key)))
        for n, (job, folder) in enumerate(zip(jobs, folders, strict=True))
    ]


def listed(folder: Path) -> list[Point]:
    """The points that the sweep in `folder` consists of; raises ConfigError where its list cannot be read."""
    path = folder / NAME
    try:
        plan = read_plan(folder)
    except (FileNotFoundError, Damaged) as error:
        raise ConfigError(f"{path}: not the list of a sweep ({error})") from None
    if plan.problems:
        raise ConfigError(f"{path}: not the list of a sweep ({plan.problems[0]})")
    return [Point(name, tuple(overrides)) for name, overrides in plan.points.items()]


def point_names(points: Sequence[Sequence[str]]) -> list[str]:
    """A name for every point: the overrides that not all points share; all of them for a single point."""
    if len(points) == 1:
        return [" ".join(points[0])]
    seen = Counter(override for point in points for override in point)
    return [" ".join(o for o in point if seen[o] < len(points)) for point in points]


def in_one_process(hydra: Any) -> bool:
    """Whether Hydra's launcher computes the points of the sweep in this process."""
    return hydra.runtime.choices.get("hydra/launcher") in ("one_by_one", "basic")


def abridged(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - LINES
    return [*lines[:LINES], f"… and {more:,} more"] if more > 1 else list(lines)
