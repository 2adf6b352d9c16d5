"""How a run without a summary stands, by its `attempts.jsonl`."""

import time
from pathlib import Path

from isogain.record.attempts_jsonl import read_events, seconds
from isogain.record.processes import is_alive, this_host
from isogain.record.run_status import Status


def unfinished_status(folder: Path) -> Status:
    """running, lost or preempted; the status that the last attempt wrote, if it ended; else unfinished.

    A process on another machine cannot be seen, so that its run is unfinished; `python -m isogain.status` asks the
    cluster.
    """
    events, _ = read_events(folder)
    last = events[-1] if events else {}
    if last.get("event") == "end":
        return Status.written(last.get("status")) or Status.UNFINISHED
    if last.get("event") == "preempted":
        return Status.PREEMPTED
    if last.get("event") == "start" and this_host(last.get("host")):
        began = seconds(last.get("time"))
        alive = is_alive(last, time.time() if began is None else began)
        return Status.RUNNING if alive else Status.LOST
    return Status.UNFINISHED
