"""What one run folder says of itself; a file that is broken is a problem to tell, never an error."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

STATUSES = {"finished", "diverged", "interrupted", "failed"}
MARKS = ("config.yaml", "attempts.jsonl", "summary.json")  # each of them makes a folder a run's
TAIL = 1 << 16  # bytes of metrics.csv that are read for its last row


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
    record.events = list(_events(path / "attempts.jsonl", record.problems))
    record.summary = _summary(path / "summary.json", record.problems)
    record.step, record.epoch = _progress(path / "metrics.csv", record)
    signs = (_changed(path / name) for name in ("metrics.csv", "attempts.jsonl", "log.txt"))
    record.sign_of_life = max((time for time in signs if time), default=None)
    return record


def is_run(path: Path) -> bool:
    """Whether a run has left anything in the folder."""
    return any(os.path.exists(path / name) for name in MARKS)


def seconds(time: Any) -> float | None:
    """An ISO-8601 time as seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None


def json_lines(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """The objects in a file of JSON lines; a line that a kill cut short is left out without a word."""
    data = _bytes(path, problems) or b""
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            value = json.loads(line)
        except ValueError:
            if line and not line.startswith(b"{"):  # one that a kill cut short does
                problems.append(f"{path.name}: line {number} is not JSON")
            continue
        if isinstance(value, dict):
            yield value
        else:
            problems.append(f"{path.name}: line {number} is not an object")


def whole_json(path: Path, problems: list[str]) -> Any:
    """What a JSON file holds; None where it is not there or cannot be read."""
    data = _bytes(path, problems)
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        problems.append(f"{path.name}: not JSON")
        return None


def _events(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    for event in json_lines(path, problems):
        if event.get("event") in ("start", "preempted", "end"):
            yield event


def _summary(path: Path, problems: list[str]) -> dict[str, Any] | None:
    summary = whole_json(path, problems)
    if summary is None or (isinstance(summary, dict) and summary.get("status") in STATUSES):
        return summary
    problems.append("summary.json: no status that a run writes")
    return None


def _progress(path: Path, record: Record) -> tuple[int | None, int | None]:
    """Step and epoch of the last whole row of metrics.csv; where there is none, of the last event."""
    known = [event["step"] for event in record.events if isinstance(event.get("step"), int)]
    of_events = known[-1] if known else None
    rows = _tail(path, record.problems).split(b"\n")[:-1]  # a kill can cut the last one short
    if len(rows) < 2:  # a header at most
        return of_events, None
    try:
        step, epoch = (int(float(value)) for value in rows[-1].split(b",")[:2])
    except ValueError:
        record.problems.append("metrics.csv: its last row cannot be read")
        return of_events, None
    return max(step, of_events or 0), epoch


def _tail(path: Path, problems: list[str]) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        problems.append(f"{path.name}: cannot be read ({error.strerror})")
        return b""


def _bytes(path: Path, problems: list[str]) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"{path.name}: cannot be read ({error.strerror})")
        return None


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
