"""The reader of `sweep.json`: the points of a sweep, and the command that started it."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_object

NAME = "sweep.json"
POINTS = 200_000
LONGEST, LONGEST_PATH = (
    255,
    4096,
)  # bytes of a folder's name, and of a path: no file system allows more
TEXTS = ("time", "host", "boot", "namespace", "cluster", "sweeper")
NUMBERS = ("pid", "ticks")


class Plan(NamedTuple):
    """`points`: folder below the sweep's -> overrides; `command` the words it was started with; `by` who started it
    (time, host, pid, cluster, sweeper); `problems` a line each.
    """

    points: dict[str, list[str]]
    command: list[str]
    by: dict[str, Any]
    problems: list[str]


def read_plan(sweep: Path) -> Plan:
    """The plan in the folder `sweep`; raises FileNotFoundError and Damaged.

    Points that no folder below the sweep can hold are left out, and are among the problems.
    """
    path = sweep / NAME
    content = json_object(path)
    listed = content.get("points")
    if not isinstance(listed, list):
        raise Damaged(path, "does not list points")
    if len(listed) > POINTS:
        raise Damaged(path, f"lists more than {POINTS:,} points")
    points, problems = _points(listed)
    command = content.get("command")
    words = command if is_texts(command) else []
    if command is not None and command != words:
        problems.append(f"{NAME}: its command is not a list of words")
    return Plan(points, words, who(content), [f"{p}; left out" for p in problems])


def _points(listed: list[Any]) -> tuple[dict[str, list[str]], list[str]]:
    """Folder -> overrides of the points that can be run, and a line for each kind of the others."""
    points: dict[str, list[str]] = {}
    wrong, outside = 0, 0
    for name, overrides in map(_point, listed):
        if overrides is None:
            wrong += 1
        elif not is_below(name):
            outside += 1
        else:
            points[name] = overrides
    problems = {
        f"{NAME}: {outside} points name folders outside of the sweep, or none": outside,
        f"{NAME}: {wrong} points are not a folder and its overrides": wrong,
    }
    return points, [line for line, count in problems.items() if count]


def is_below(name: str) -> bool:
    """Whether a folder's name, as a file gives it, leads to a folder below the one that it is relative to."""
    parts = Path(name).parts
    if not parts or os.path.isabs(name) or ".." in parts or "\0" in name:
        return False
    sizes = [len(os.fsencode(part)) for part in parts]
    return max(sizes) <= LONGEST and sum(sizes) + len(sizes) <= LONGEST_PATH


def _point(point: Any) -> tuple[str, list[str] | None]:
    if not isinstance(point, dict) or not isinstance(point.get("folder"), str):
        return "", None
    overrides = point.get("overrides")
    return point["folder"], overrides if is_texts(overrides) else None


def is_texts(value: Any) -> bool:
    """Whether a value of a file is a list of texts."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def who(content: dict[str, Any]) -> dict[str, Any]:
    """Who started something (time, host, pid, cluster, sweeper), without values of another type than a run writes."""
    texts = {key: content[key] for key in TEXTS if isinstance(content.get(key), str)}
    return texts | {key: content[key] for key in NUMBERS if type(content.get(key)) is int}
