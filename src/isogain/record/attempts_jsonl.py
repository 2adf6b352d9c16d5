"""`attempts.jsonl` as whoever looks at a run reads it: the events that are readable, of the types that they have."""

from datetime import datetime
from pathlib import Path
from typing import Any

from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_lines

NAME = "attempts.jsonl"
EVENTS = ("start", "preempted", "end")
TEXTS = ("time", "host", "boot", "namespace", "slurm_job", "signal", "status", "error")
NUMBERS = ("pid", "ticks", "step", "restart")


def read_events(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Oldest first, and a problem a line for what is no event; what is of another type than it has is left out."""
    try:
        objects, problems = json_lines(folder / NAME)
    except Damaged as error:
        return [], [str(error)]
    events = [event for event in objects if event.get("event") in EVENTS]
    wrong = sorted({key for event in events for key, value in event.items() if _is_odd(key, value)})
    if wrong:
        problems.append(f"{NAME}: {', '.join(wrong)} of a type that no run writes; left out")
    return [{k: v for k, v in event.items() if not _is_odd(k, v)} for event in events], problems


def seconds(time: Any) -> float | None:
    """An ISO-8601 time as seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _is_odd(key: str, value: Any) -> bool:
    if value is None:
        return False
    if key in TEXTS:
        return not isinstance(value, str)
    return key in NUMBERS and (not isinstance(value, int) or isinstance(value, bool) or value < 0)
