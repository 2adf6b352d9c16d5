"""What a run's metrics.csv holds, of many runs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isogain.names import nearest


def curves(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Long: folder, step and the metrics, a row where all of them were logged at a step; sorted.

    `attrs["skipped"]`: folder -> why it has none. Raises KeyError where no run has them.
    """
    found: list[tuple] = []
    skipped: dict[str, str] = {}
    columns: set[str] = set()
    for folder in table["folder"]:
        try:
            found += _rows(folder, metrics, columns)
        except (OSError, ValueError, csv.Error) as error:
            skipped[folder] = f"metrics.csv: {getattr(error, 'strerror', None) or error}"
    if not found:
        bad = [name for name in metrics if name not in columns] or metrics
        raise KeyError(f"{', '.join(bad)}: not in any metrics.csv; {nearest(bad[0], columns)}")
    together = pd.DataFrame(found, columns=["folder", "step", *metrics])
    together = together.sort_values(["folder", "step"], kind="stable", ignore_index=True)
    together.attrs["skipped"] = skipped
    return together


def _rows(folder: str, metrics: Sequence[str], columns: set[str]) -> list[tuple]:
    """Of one run, by the csv module: thousands of small files, of whose columns few are asked for."""
    rows = csv.reader(io.StringIO(whole_lines(Path(folder)).decode(), newline=""))
    head = next(rows, [])
    columns |= set(head)
    if missing := [name for name in ("step", *metrics) if name not in head]:
        raise ValueError(f"has no {', '.join(missing)}")
    at = [head.index(name) for name in ("step", *metrics)]
    cells = ([row[i] for i in at] for row in rows if len(row) == len(head))
    known = (values for values in cells if "" not in values)
    return [(folder, int(step), *map(float, values)) for step, *values in known]


def whole_lines(folder: Path) -> bytes:
    """metrics.csv without a last line that a kill cut short."""
    whole, end, _ = (folder / "metrics.csv").read_bytes().rpartition(b"\n")
    return whole + end


def read_metrics(folder: Path) -> pd.DataFrame:
    """All columns; raises OSError or ValueError."""
    rows = pd.read_csv(io.BytesIO(whole_lines(folder)), low_memory=False)
    if "step" not in rows:
        raise ValueError("has no column 'step'")
    return rows.sort_values("step", kind="stable")
