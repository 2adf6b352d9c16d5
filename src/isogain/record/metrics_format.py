"""`metrics.csv` as bytes: rows become a header and lines, and a line becomes its cells again.

A row is (step, {column: cell}). Every other module reads and writes the file through these functions.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

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


def encoded(columns: Sequence[str], row: Row) -> bytes:
    """The line of a row, the step in its first cell."""
    step, cells = row
    return line([step, *(cells.get(name, "") for name in columns[1:])])


def cells_of(raw: bytes) -> list[str] | None:
    """The cells of a line, its end included; None for what `line` never returns: cut short, or with other bytes."""
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not raw.endswith(b"\n") or not body or CONTROL.search(body):
        return None
    try:
        text = body.decode()
        return next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except (ValueError, csv.Error):
        return None


def columns_of(raw: bytes) -> list[str]:
    """The columns that a header names, `step` among them; raises ValueError, with the reason, for anything else."""
    columns = cells_of(raw)
    if columns is None:
        raise ValueError("its first line is not the header of a table")
    if "step" not in columns:
        raise ValueError("has no column step")
    if len(set(columns)) < len(columns):
        raise ValueError("has a column twice")
    return columns


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


def merged(rows: Iterable[Row], others: Mapping[int, dict[str, Any]]) -> Iterator[Row]:
    """Rows in order of step with those of `others` merged in: a cell of the latter replaces one of the former."""
    both = merge(rows, sorted(others.items(), key=itemgetter(0)), key=itemgetter(0))
    for step, same in groupby(both, key=itemgetter(0)):
        yield step, {name: value for _, row in same for name, value in row.items()}
