"""`summary.json` as whoever looks at a run reads it: how it ended, and its numbers."""

from pathlib import Path
from typing import Any

from isogain.config.terminal import first_line
from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_object
from isogain.record.run_status import Status

NAME = "summary.json"
KEYS = 5_000  # more than any run has
LETTERS = 10_000  # of a text


def read_summary(folder: Path) -> dict[str, Any]:
    """Numbers and texts by key, `status` one that a run writes; raises FileNotFoundError and Damaged."""
    path = folder / NAME
    found = json_object(path)
    if Status.written(found.get("status")) is None:
        raise Damaged(path, "has no status that a run writes")
    if len(found) > KEYS:
        raise Damaged(path, f"has more than {KEYS:,} keys")
    plain = {k: v for k, v in found.items() if not isinstance(v, dict | list) and v is not None}
    return {k: v[:LETTERS] if isinstance(v, str) else v for k, v in plain.items()}


def outcome(folder: Path) -> tuple[Status, str]:
    """How the run in `folder` ended, and the first line of why, by its summary; one that left none is lost."""
    try:
        summary = read_summary(folder)
    except FileNotFoundError:
        return Status.LOST, "it ended without a summary"
    except Damaged as error:
        return Status.LOST, f"its summary cannot be read ({error})"
    return Status(summary["status"]), first_line(summary.get("error", ""))
