"""`summary.json`: how a run ended, and its numbers."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogain.config.terminal import first_line
from isogain.record.atomic import replaced
from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_object
from isogain.record.run_status import Status

NAME = "summary.json"
KEYS = 5_000  # more than any run has
LETTERS = 10_000  # of a text


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all; what is None or not finite gets no key."""
    known = {k: v for k, v in summary.items() if v is not None and _is_json(v)}
    with replaced(folder / NAME) as part:
        part.write_text(json.dumps(known, indent=2) + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Numbers and texts by key, `status` one that a run writes; raises FileNotFoundError and Damaged."""
    path = folder / NAME
    summary = json_object(path)
    if Status.written(summary.get("status")) is None:
        raise Damaged(path, "has no status that a run writes")
    if len(summary) > KEYS:
        raise Damaged(path, f"has more than {KEYS:,} keys")
    plain = {k: v for k, v in summary.items() if not isinstance(v, dict | list) and v is not None}
    return {k: v[:LETTERS] if isinstance(v, str) else v for k, v in plain.items()}


def outcome(folder: Path) -> tuple[Status, str]:
    """How the run in `folder` ended by its summary, and the first line of its error; without a summary it is lost."""
    try:
        summary = read_summary(folder)
    except FileNotFoundError:
        return Status.LOST, "it ended without a summary"
    except Damaged as error:
        return Status.LOST, f"its summary cannot be read ({error})"
    return Status(summary["status"]), first_line(summary.get("error", ""))


def _is_json(value: Any) -> bool:
    """JSON has no infinite number and no NaN."""
    return not isinstance(value, float) or math.isfinite(value)
