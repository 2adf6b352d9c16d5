"""What `attempts.jsonl` says of a run without a summary."""

import json
import time
from pathlib import Path
from typing import Any

from isogain.record.last_step import seconds
from isogain.record.processes import process_alive, this_host


def unfinished_status(folder: Path) -> str:
    """running, lost or preempted; an attempt's end tells its own; unfinished where there is no telling from here.

    A process on another machine cannot be seen: `python -m isogain.status` asks the cluster.
    """
    last = last_event(folder / "attempts.jsonl")
    if last.get("event") == "end":
        return str(last.get("status", "unfinished"))
    if last.get("event") == "preempted":
        return "preempted"
    if last.get("event") == "start" and this_host(last.get("host")):
        pid, began = last.get("pid"), seconds(last.get("time"))
        alive = isinstance(pid, int) and process_alive(pid, time.time() if began is None else began)
        return "running" if alive else "lost"
    return "unfinished"


def last_event(path: Path) -> dict[str, Any]:
    """The last whole line; a kill may have cut the one after it short. {} where there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            return event
    return {}
