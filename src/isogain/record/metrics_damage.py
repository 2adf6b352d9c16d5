"""What a damaged `metrics.csv` lacks, in words for the log."""

from collections.abc import Mapping
from itertools import groupby

from isogain.record.metrics_format import Written
from isogain.record.metrics_rows import TextRows


def damage(rows: TextRows, written: Written, extent: Mapping[str, int]) -> str:
    """Which lines of the file cannot be read, and what it lacks of the `extent` it had; "" for a sound file.

    rows: the file's, all of them read. written: what was saved of them.
    """
    problems = [_place(group) for group in _neighbours(rows.unreadable)]
    if not rows.columns:
        problems.append("its header cannot be read")
    step = None if written.last is None else written.last[0]
    if extent and (step is None or step < extent["last"]):
        problems.append(lost(step, extent["last"]))
    elif not problems and written.rows < extent.get("rows", 0):
        problems.append(f"{extent['rows'] - written.rows} of {extent['rows']} rows are missing")
    return ", ".join(problems)


def lost(after: int | None, until: int) -> str:
    """Which rows are lost, in words; `after` is the last step that is left, None where there is none."""
    return f"the rows {'' if after is None else f'after step {after} '}up to step {until} are lost"


def _neighbours(places: list[tuple[int, int | None]]) -> list[list[tuple[int, int | None]]]:
    """Line numbers that follow one another, together."""
    groups = groupby(enumerate(places), lambda item: item[1][0] - item[0])
    return [[place for _, place in group] for _, group in groups]


def _place(group: list[tuple[int, int | None]]) -> str:
    (first, before), (last, _) = group[0], group[-1]
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    return f"{lines} (after {'the header' if before is None else f'step {before}'}) cannot be read"
