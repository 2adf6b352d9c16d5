"""What runs' metrics.csv hold, of many runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from isogain.config.nearest import nearest
from isogain.record import metrics_rows
from isogain.record.bounded import Damaged, opened


def curves(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Long: folder, step and the metrics, a row where all of them were logged at a step; sorted.

    `attrs["skipped"]`: folder -> why it has none, or not all. Raises KeyError where no run has them.
    """
    per_run: list[pd.DataFrame] = []
    skipped: dict[str, str] = {}
    columns: set[str] = set()
    for folder in table["folder"]:
        try:
            rows, unreadable = _rows(folder, metrics, columns)
            per_run.append(rows)
            if unreadable:
                skipped[folder] = f"metrics.csv: {unreadable:,} of its lines cannot be read"
        except (FileNotFoundError, Damaged) as error:
            skipped[folder] = f"metrics.csv: {getattr(error, 'reason', None) or error.strerror}"
    if not any(len(rows) for rows in per_run):
        bad = [name for name in metrics if name not in columns] or metrics
        raise KeyError(f"{', '.join(bad)}: not in any metrics.csv; {nearest(bad[0], columns)}")
    together = pd.concat([rows for rows in per_run if len(rows)], ignore_index=True)
    together = together.sort_values(["folder", "step"], kind="stable", ignore_index=True)
    together.attrs["skipped"] = skipped
    return together


def _rows(folder: str, metrics: Sequence[str], columns: set[str]) -> tuple[pd.DataFrame, int]:
    """Of one run, and how many lines were passed over."""
    names = list(dict.fromkeys(metrics))
    table = _read(Path(folder), lambda name: name in names)
    columns |= set(table.known)
    if absent := [name for name in names if name not in table.known]:
        raise Damaged(Path(folder) / metrics_rows.NAME, f"has no {', '.join(absent)}")
    at = [table.columns.index(name) for name in names]
    whole = table.logged[:, at].all(axis=1)
    rows = pd.DataFrame(table.values[whole][:, at], columns=names)
    rows.insert(0, "step", table.steps[whole].astype(int))
    rows.insert(0, "folder", folder)
    return rows, table.unreadable


def read_metrics(folder: Path, wanted: Callable[[str], bool]) -> pd.DataFrame:
    """`step` and the columns that are wanted, NaN where nothing was logged; raises FileNotFoundError and Damaged."""
    table = _read(folder, wanted)
    rows = pd.DataFrame(table.values, columns=table.columns)
    rows.insert(0, "step", table.steps)
    return rows.sort_values("step", kind="stable")


class _Table(NamedTuple):
    """The rows of a metrics.csv, of the `columns` that were wanted out of those `known`."""

    columns: list[str]
    known: list[str]
    steps: np.ndarray
    values: np.ndarray
    logged: np.ndarray
    unreadable: int


def _read(folder: Path, wanted: Callable[[str], bool]) -> _Table:
    path = folder / metrics_rows.NAME
    with opened(path) as file:
        known = metrics_rows.header(file, path)
        at = [i for i, name in enumerate(known) if name != "step" and wanted(name)]
        begin = file.tell()
        _, end, _ = metrics_rows.last_line(file, begin)
        file.seek(begin)
        pieces = [
            (rows.steps, rows.values[:, at], rows.logged[:, at], rows.unreadable)
            for rows in metrics_rows.pieces(file, known, end)
        ]
    nothing = np.empty((0, len(at)))
    steps, values, logged, unreadable = zip(
        (np.empty(0), nothing, nothing.astype(bool), 0), *pieces, strict=True
    )
    return _Table(
        [known[i] for i in at],
        known,
        np.concatenate(steps),
        np.concatenate(values),
        np.concatenate(logged),
        sum(unreadable),
    )
