"""Lines of `metrics.csv` as arrays of numbers: many regular ones by pandas, others line by line, to the same result."""

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isogain.record.bounded import MIB
from isogain.record.metrics_format import cells_of

# bytes from which on pandas is worth its import of 0.4 s: it is ten times as fast
WORTH = MIB // 4


class Rows(NamedTuple):
    """Neighbouring rows: steps (rows,), values (rows, columns) with NaN for an empty cell, `logged` the other cells.

    unreadable: how many lines among them were passed over.
    """

    steps: np.ndarray
    values: np.ndarray
    logged: np.ndarray
    unreadable: int = 0


def parsed(data: bytes, columns: Sequence[str]) -> Rows:
    """The rows of whole lines; a line with text in a cell, or whose step is not a whole number, is passed over."""
    if len(data) >= WORTH and _is_regular(data, len(columns)):
        try:
            return _by_pandas(data, columns)
        except (ImportError, ValueError):
            pass  # line by line it is known which one is at fault
    return _line_by_line(data, columns)


def one_unreadable(columns: Sequence[str]) -> Rows:
    """What stands for a line that cannot be read: no row, and a count of one."""
    empty = np.empty((0, len(columns)))
    return Rows(empty[:, 0], empty, empty.astype(bool), unreadable=1)


def _is_regular(data: bytes, columns: int) -> bool:
    """Whether every line has so many cells, and none that pandas would read otherwise than `_line_by_line` does."""
    returns = data.count(b"\r\n")
    if data.count(b"\r") != returns or any(odd in data for odd in b'"nN_'):
        return False
    characters = np.frombuffer(data, np.uint8)
    ends, commas = np.flatnonzero(characters == 10), np.flatnonzero(characters == 44)
    if (
        np.count_nonzero(characters < 32) != len(ends) + returns
    ):  # a tab, for example, makes a line unreadable
        return False
    return bool((np.diff(np.searchsorted(commas, ends), prepend=0) == columns - 1).all())


def _by_pandas(data: bytes, columns: Sequence[str]) -> Rows:
    import pandas as pd

    table = pd.read_csv(
        io.BytesIO(data), header=None, dtype=float, na_values=[""], keep_default_na=False
    )
    values = table.to_numpy()
    steps = values[:, list(columns).index("step")]
    whole = (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
    if len(values) != data.count(b"\n") or not whole.all():
        raise ValueError("a step is not a whole number")
    return Rows(steps, values, ~np.isnan(values))


def _line_by_line(data: bytes, columns: Sequence[str]) -> Rows:
    at, rows, logged, unreadable = list(columns).index("step"), [], [], 0
    for raw in io.BytesIO(data):
        cells = cells_of(raw) if raw.isascii() else None
        row = _numbers(cells or [])
        if len(row) != len(columns) or not _is_step(row[at]):
            unreadable += 1
            continue
        rows.append(row)
        logged.append([bool(cell) for cell in cells])
    values = np.array(rows, dtype=float).reshape(-1, len(columns))
    known = np.array(logged, dtype=bool).reshape(values.shape)
    return Rows(values[:, at], values, known, unreadable)


def _numbers(cells: Sequence[str]) -> list[float]:
    """The cells' numbers, NaN for an empty one; [] where one of them is text."""
    try:
        return [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        return []


def _is_step(step: float) -> bool:
    """Whether it is a whole number that a float has exactly."""
    return 0 <= step < 2**53 and step == int(step)
