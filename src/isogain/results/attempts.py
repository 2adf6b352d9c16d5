"""What `attempts.jsonl` says of a run without a summary."""

import json
import os
import socket
from pathlib import Path
from typing import Any


def unfinished_status(folder: Path) -> str:
    """running, lost or preempted; an attempt's end tells its own; unfinished where there is no telling from here.

    A process on another machine cannot be seen: `python -m isogain.status` asks the cluster.
    """
    last = last_event(folder / "attempts.jsonl")
    if last.get("event") == "end":
        return str(last.get("status", "unfinished"))
    if last.get("event") == "preempted":
        return "preempted"
    if last.get("event") == "start" and last.get("host") == socket.gethostname():
        return "running" if _alive(last.get("pid")) else "lost"
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


def _alive(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError, TypeError, ValueError):
        return False
    except PermissionError:
        return True
    return True
