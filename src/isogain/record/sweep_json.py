"""What a sweep consists of, on the disk before its first point begins: `sweep.json` in its folder."""

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
from isogain.record.summary_json import outcome as outcome  # the launchers ask for both
from isogain.record.sweep_points import read_plan

TOLD = 20  # lines about single points, and then how many more there are


class Point(NamedTuple):
    """One run of a sweep: its folder below the sweep's, and the overrides that make it."""

    folder: str
    overrides: tuple[str, ...]


def enlist(folder: Path, points: Sequence[Point], cluster: str, renew: bool = False) -> None:
    """Add to `sweep.json` those of `points` that it does not list yet; the file is made where there is none.

    `renew`: those that it lists get the overrides that they have now. Raises ConfigError where there is one that
    cannot be read.
    """
    path = folder / "sweep.json"
    there = path.exists()
    by_folder = {point.folder: point for point in listed(folder)} if there else {}
    before = dict(by_folder)
    for point in points:
        if renew or point.folder not in by_folder:
            by_folder[point.folder] = point
    if by_folder == before and there:
        return
    try:
        sweep = json_object(path) if there else _begun(cluster)
    except Damaged as error:
        raise ConfigError(f"{path}: not the list of a sweep ({error})") from None
    sweep["points"] = [point._asdict() for point in by_folder.values()]
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(path) as part:
        part.write_text(json.dumps(sweep, indent=1) + "\n")


def _begun(cluster: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    begun = {"command": sys.argv, "time": now, **this_process()}
    return {**begun, "cluster": cluster, "points": []}


def numbered(jobs: Sequence[Sequence[str]], first: int) -> list[Point]:
    """The points that a launcher is given: each in the folder of its number, or in the one that its overrides say."""
    key = "hydra.sweep.subdir="
    folders = [next((o[len(key) :] for o in job if o.startswith(key)), None) for job in jobs]
    return [
        Point(folder or str(first + n), tuple(o for o in job if not o.startswith(key)))
        for n, (job, folder) in enumerate(zip(jobs, folders, strict=True))
    ]


def listed(folder: Path) -> list[Point]:
    """The points that the sweep in `folder` consists of; raises ConfigError where its list cannot be read."""
    path = folder / "sweep.json"
    try:
        plan = read_plan(folder)
    except (FileNotFoundError, Damaged) as error:
        raise ConfigError(f"{path}: not the list of a sweep ({error})") from None
    if plan.problems:
        raise ConfigError(f"{path}: not the list of a sweep ({plan.problems[0]})")
    return [Point(name, tuple(overrides)) for name, overrides in plan.points.items()]


def swept(points: Sequence[Sequence[str]]) -> list[str]:
    """A name for every point: those of its overrides that not all points have, of a lone one all."""
    if len(points) == 1:
        return [" ".join(points[0])]
    seen = Counter(override for point in points for override in point)
    return [" ".join(o for o in point if seen[o] < len(points)) for point in points]


def in_one_process(hydra: Any) -> bool:
    """Whether the points of the sweep that Hydra's own config describes are computed in the process that reads it."""
    return hydra.runtime.choices.get("hydra/launcher") in ("one_by_one", "basic")


def few(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - TOLD
    return [*lines[:TOLD], f"… and {more:,} more"] if more > 1 else list(lines)
