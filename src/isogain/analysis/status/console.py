"""What `python -m isogain.status` prints: counts, a line a run that is not done, problems and commands."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from isogain.analysis.status.states import WORDS
from isogain.analysis.status.survey import Run, Sweep
from isogain.config.terminal import printable
from isogain.record import bounded
from isogain.record.run_status import Status

LIMIT = re.compile(r"^  (max_steps|max_epochs): (-?\d{1,18}) *$", re.MULTILINE)


def report(sweep: Sweep, commands: Sequence[str], every: bool = False) -> str:
    """One sweep in words."""
    lines = [f"{sweep.path}: {_counts(sweep.runs)}"]
    shown = [run for run in sweep.runs if every or run.status is not Status.FINISHED]
    order = list(WORDS)
    shown.sort(key=lambda run: order.index(run.status))  # stable: by folder within a state
    lines += [f"  {line}" for line in columns(_rows(shown))]
    notes = [f"{run.name}/{problem}" for run in sweep.runs for problem in run.record.problems]
    lines += [f"  note: {problem}" for problem in [*notes, *sweep.problems]]
    if commands:
        lines += ["  to run again exactly what is missing:", *(f"    {c}" for c in commands)]
    return "\n".join(map(printable, lines))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def progress(run: Run) -> str:
    """How far a run is: of how many steps or epochs, where its config says so."""
    limits = _limits(run.record.path / "config.yaml")
    parts = [
        f"{unit} {at:,}" + (f"/{limits[limit]:,}" if limits.get(limit, -1) > 0 else "")
        for unit, limit, at in (
            ("step", "max_steps", run.record.step),
            ("epoch", "max_epochs", run.record.epoch),
        )
        if at is not None
    ]
    return ", ".join(parts)


def as_json(sweep: Sweep, commands: Sequence[str]) -> dict:
    """The same for machines."""
    return {
        "folder": str(sweep.path),
        "counts": dict(Counter(run.state for run in sweep.runs)),
        "runs": [_run_as_json(run) for run in sweep.runs],
        "problems": sweep.problems,
        "rerun": list(commands),
    }


def _counts(runs: Sequence[Run]) -> str:
    counts = Counter(run.status for run in runs)
    parts = [f"{counts[s]:,} {word}" for s, word in reversed(WORDS.items()) if counts[s]]
    return f"{len(runs):,} runs: {', '.join(parts)}" if len(runs) != 1 else parts[0]


def _rows(runs: Sequence[Run]) -> Iterable[tuple[str, ...]]:
    """Cells of a line each; runs that left nothing yet and differ in their number only share one."""
    rows = []
    for (begun, status, reason), group in groupby(
        runs, lambda run: (run.record.begun, run.status, run.reason)
    ):
        group = list(group)
        if not begun and len(group) > 2:
            rows.append(
                (
                    _span([r.name for r in group]),
                    WORDS[status],
                    f"{len(group):,} points",
                    "",
                    "",
                    reason,
                )
            )
        else:
            rows += [_row(run) for run in group]
    return rows


def _row(run: Run) -> tuple[str, ...]:
    attempts = len(run.record.starts)
    tries = f"{attempts} attempt{'s' * (attempts > 1)}" if attempts else ""
    return run.name, WORDS[run.status], progress(run), tries, run.where, run.reason


def _span(names: Sequence[str]) -> str:
    """Folders in few words: 3-7, 9."""
    if not all(name.isdigit() for name in names):
        return f"{names[0]} … {names[-1]}"
    numbers, spans = sorted(map(int, names)), []
    for n in numbers:
        if spans and spans[-1][1] == n - 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    words = [f"{a}-{b}" if b > a else f"{a}" for a, b in spans]
    return ", ".join(words[:5]) + (", …" if len(words) > 5 else "")


def _limits(path: Path) -> dict[str, int]:
    """trainer.max_steps and max_epochs; a pattern, for YAML takes ten milliseconds a file."""
    try:
        return {name: int(value) for name, value in LIMIT.findall(bounded.text(path))}
    except (FileNotFoundError, ValueError):  # reported where the run is described
        return {}


def _run_as_json(run: Run) -> dict:
    record = run.record
    return {
        "folder": run.name,
        "state": run.state,
        "reason": run.reason,
        "step": record.step,
        "epoch": record.epoch,
        "attempts": len(record.starts),
        "where": run.where,
        "overrides": run.overrides,
        "problems": record.problems,
    }
