"""What a sweep consists of, on the disk before its first point begins: `sweep.json` in its folder."""

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from isogain.errors import ConfigError
from isogain.record.atomic import replaced

SOUND = {"finished", "diverged"}  # outcomes of a run that nothing went wrong with
TOLD = 20  # lines about single points, and then how many more there are


class Point(NamedTuple):
    """One run of a sweep: its folder below the sweep's, and the overrides that make it."""

    folder: str
    overrides: tuple[str, ...]


def enlist(folder: Path, points: Sequence[Point], cluster: str, renew: bool = False) -> None:
    """Add to `sweep.json` those of `points` that it does not list yet; the file is made where there is none.

    `renew`: those that it lists get the overrides that they have now.
    """
    path = folder / "sweep.json"
    sweep = json.loads(path.read_text()) if path.exists() else _begun(cluster)
    before = json.dumps(sweep["points"])
    by_folder = {point["folder"]: point for point in sweep["points"]}
    for point in points:
        if renew or point.folder not in by_folder:
            by_folder[point.folder] = point._asdict()
    sweep["points"] = list(by_folder.values())
    if json.dumps(sweep["points"]) == before and path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(path) as part:
        part.write_text(json.dumps(sweep, indent=1) + "\n")


def _begun(cluster: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"host": socket.gethostname(), "pid": os.getpid()}
    return {"command": sys.argv, "time": now, **who, "cluster": cluster, "points": []}


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
        points = json.loads(path.read_text())["points"]
        return [Point(point["folder"], tuple(point["overrides"])) for point in points]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not the list of a sweep ({type(error).__name__})") from None


def swept(points: Sequence[Sequence[str]]) -> list[str]:
    """A name for every point: those of its overrides that not all points have, of a lone one all."""
    if len(points) == 1:
        return [" ".join(points[0])]
    seen = Counter(override for point in points for override in point)
    return [" ".join(o for o in point if seen[o] < len(points)) for point in points]


def in_one_process(hydra: Any) -> bool:
    """Whether the points of the sweep that Hydra's own config describes are computed in the process that reads it."""
    return hydra.runtime.choices.get("hydra/launcher") in ("one_by_one", "basic")


def outcome(folder: Path) -> tuple[str, str]:
    """(status, why) of the run in `folder`, from its summary; one that left none is `lost`."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
        return str(summary["status"]), str(summary.get("error", ""))
    except FileNotFoundError:
        return "lost", "it ended without a summary"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "lost", f"its summary.json cannot be read ({type(error).__name__})"


def few(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - TOLD
    return [*lines[:TOLD], f"… and {more:,} more"] if more > 1 else list(lines)
