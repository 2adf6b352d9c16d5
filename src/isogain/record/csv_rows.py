"""The lines of `metrics.csv` one by one: cells to a line and back, and which lines are none of ours."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

LINE = 1 << 22  # bytes; a longer one is none of ours
TEXT = 10_000  # characters of a cell
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
SPACES = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
Row = tuple[int, dict[str, Any]]


def cell(value: Any) -> Any:
    """What stands for `value` in one line of text: numbers as they are, text without line breaks."""
    if isinstance(value, str):
        return SPACES.sub(" ", value)[:TEXT]
    return value


def line(cells: Iterable[Any]) -> bytes:
    """One line of the file; numbers are written so that they come back bit for bit."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def parsed(raw: bytes) -> list[str] | None:
    """The cells of a line; None where nothing that `line` returns reads so: cut, or with bytes of anything else."""
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not raw.endswith(b"\n") or not body or CONTROL.search(body):
        return None
    try:
        text = body.decode()
        return next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except (ValueError, csv.Error):
        return None


def merged(rows: Iterable[Row], others: Mapping[int, dict[str, Any]]) -> Iterator[Row]:
    """Rows in order of step with those of `others` merged in: a cell of the latter replaces one of the former."""
    both = merge(rows, sorted(others.items(), key=itemgetter(0)), key=itemgetter(0))
    for step, same in groupby(both, key=itemgetter(0)):
        yield step, {name: value for _, row in same for name, value in row.items()}


class Rows:
    """The readable rows of a file in rising order of step; the others are counted and named.

    `columns` are those of its header, [] where it has none. Once the rows are read, `unreadable` holds (line number,
    step before it) of each line that is none, `strays` the rows that a higher step precedes, and `torn` says whether
    the file ends within a line, as a kill leaves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable: list[tuple[int, int | None]] = []
        self.strays: dict[int, dict[str, str]] = {}
        self.torn = False
        with path.open("rb") as file:
            names = parsed(file.readline(LINE)) or []
        sound = names[:1] == ["step"] and len(set(names)) == len(names)
        self.columns = names if sound else []

    def __iter__(self) -> Iterator[Row]:
        before: int | None = None
        for number, raw in enumerate(self._lines(), 2):
            cells = parsed(raw)
            step = self._step(cells)
            if step is None:
                self.torn = not raw.endswith(b"\n")
                self.unreadable.append((number, before))
                continue
            row = {name: value for name, value in zip(self.columns, cells, strict=True) if value}
            if before is not None and step <= before:
                self.strays.setdefault(step, {}).update(row)
                continue
            before = step
            yield step, row
        if self.torn:
            self.unreadable.pop()  # the last one: no more was written of it

    def _lines(self) -> Iterator[bytes]:
        if not self.columns:
            return
        with self.path.open("rb") as file:
            file.readline(LINE)
            yield from iter(lambda: file.readline(LINE), b"")

    def _step(self, cells: list[str] | None) -> int | None:
        if cells is None or len(cells) != len(self.columns):
            return None
        return int(cells[0]) if re.fullmatch(r"-?\d{1,18}", cells[0], re.ASCII) else None


class Written(NamedTuple):
    """What a file of rows holds: how many, the last one, where it begins, and the file's size in bytes."""

    rows: int
    last: Row | None
    start: int
    size: int


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> Written:
    """Write a header and the rows to `path`."""
    number, last, start = 0, None, 0
    with path.open("wb") as file:
        file.write(line(columns))
        for number, last in enumerate(rows, 1):  # noqa: B007 - the last of each is what is returned
            start = file.tell()
            file.write(encoded(columns, last))
        return Written(number, last, start, file.tell())


def encoded(columns: Sequence[str], row: Row) -> bytes:
    """The line of a row, the step in its first cell."""
    step, cells = row
    return line([step, *(cells.get(name, "") for name in columns[1:])])


def damage(found: Rows, written: Written, extent: Mapping[str, int]) -> str:
    """What a file lacks of the `extent` it had, and which lines are none, in words; "" for a sound one."""
    told = [_place(group) for group in _neighbours(found.unreadable)]
    if not found.columns:
        told.append("its header cannot be read")
    step = None if written.last is None else written.last[0]
    if extent and (step is None or step < extent["last"]):
        told.append(lost(step, extent["last"]))
    elif not told and written.rows < extent.get("rows", 0):
        told.append(f"{extent['rows'] - written.rows} of {extent['rows']} rows are missing")
    return ", ".join(told)


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
