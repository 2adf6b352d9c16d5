"""How far a run has come, by the files in its folder; a damaged file is a problem to report, never an error."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogain.record.attempts_jsonl import read_events
from isogain.record.bounded import Damaged
from isogain.record.summary_json import read_summary

MARKS = ("config.yaml", "attempts.jsonl", "summary.json")  # each of them makes a folder a run's
SIGNS = ("metrics.csv", "attempts.jsonl", "log.txt")  # a run that lives writes to one of them


@dataclass
class Record:
    """attempts.jsonl, summary.json and the last row of metrics.csv in the run folder `path`."""

    path: Path
    begun: bool = False  # whether the folder has anything of a run
    events: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] | None = None
    step: int | None = None
    epoch: int | None = None
    sign_of_life: float | None = None  # seconds since 1970
    problems: list[str] = field(default_factory=list)  # one line each

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == "start"]

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1] if self.events else {"event": None}


def read(path: Path) -> Record:
    """The record in the folder `path`, which need not exist."""
    record = Record(path, begun=is_run(path))
    if not record.begun:
        return record
    record.events, record.problems = read_events(path)
    try:
        record.summary = read_summary(path)
    except FileNotFoundError:
        pass
    except Damaged as error:
        record.problems.append(str(error))
    record.step, record.epoch = _progress(path / "metrics.csv", record)
    signs = (_changed(path / name) for name in SIGNS)
    record.sign_of_life = max((time for time in signs if time), default=None)
    return record


def is_run(path: Path) -> bool:
    """Whether a run has left anything in the folder."""
    return any(os.path.lexists(path / name) for name in MARKS)


def _progress(path: Path, record: Record) -> tuple[int | None, int | None]:
    """Step and epoch of the last whole row of metrics.csv; where there is none, the step of the last event."""
    from isogain.record.metrics_rows import last_row  # numpy waits until a file is read

    known = [event["step"] for event in record.events if "step" in event]
    of_events = known[-1] if known else None
    try:
        row = last_row(path)
    except FileNotFoundError:
        return of_events, None
    except Damaged as error:
        record.problems.append(str(error))
        return of_events, None
    if row is None:
        return of_events, None
    epoch = row.get("epoch", math.nan)
    return max(int(row["step"]), of_events or 0), int(epoch) if math.isfinite(epoch) else None


def _changed(path: Path) -> float | None:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None
