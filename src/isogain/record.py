"""The record of a run: `metrics.csv` and `spectra.npz` in its folder, and the one call that everything logs through."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from isogain.files import replaced


class Spectrum(NamedTuple):
    """Numbers that belong together at one step, and the bin edges of their histogram (the same all through a run)."""

    values: np.ndarray
    edges: np.ndarray


def record(
    trainer: pl.Trainer, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum] | None = None
) -> None:
    """Log one event under the number of optimiser steps done: scalars to every logger, spectra to those that take them."""
    scalars = {"epoch": trainer.current_epoch, **scalars}
    for logger in trainer.loggers:
        if hasattr(logger, "log_event"):
            logger.log_event(scalars, spectra or {}, trainer.global_step)
        else:
            logger.log_metrics(scalars, trainer.global_step)


class RunRecord(Logger):
    """One row a step in `metrics.csv`; in `spectra.npz`, for each name, the values (events, ...)
    and `name/step` (events,).

    Rows are on the disk as soon as the next step logs something, all is at every `flush`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.columns = ["step", "epoch"]
        self.row: dict[str, float] = {}
        self.spectra: dict[str, list[tuple[int, np.ndarray]]] = {}
        self._unsaved = False

    name = version = None

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration is in config.yaml."""

    @rank_zero_only
    def log_event(
        self, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum], step: int
    ) -> None:
        if self.row and self.row["step"] != step:
            self._write_row()
        self.row |= {"step": step, **scalars}
        for name, spectrum in spectra.items():
            self.spectra.setdefault(name, []).append((step, np.asarray(spectrum.values)))
            self._unsaved = True

    def log_metrics(self, metrics: Mapping[str, float | Tensor], step: int | None = None) -> None:
        self.log_event({name: float(value) for name, value in metrics.items()}, {}, int(step or 0))

    @rank_zero_only
    def flush(self) -> None:
        """Put everything logged so far on the disk."""
        if self.row:
            self._write_row()
        if self._unsaved:
            arrays = {
                name: np.stack([value for _, value in events])
                for name, events in self.spectra.items()
            }
            steps = {
                f"{name}/step": np.array([s for s, _ in events])
                for name, events in self.spectra.items()
            }
            with replaced(self.folder / "spectra.npz") as part, part.open("wb") as file:
                np.savez(file, **arrays, **steps)
            self._unsaved = False

    def finalize(self, status: str) -> None:
        self.flush()

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Take up the files found in the folder, and forget what they hold of later steps than `step`."""
        if self._csv.exists():
            with self._csv.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self.columns = list(rows[0]) if rows else self.columns
            whole = [
                row for row in rows if None not in row.values()
            ]  # a kill can cut the last line
            self._rewrite([row for row in whole if int(row["step"]) <= step])
        if (self.folder / "spectra.npz").exists():
            with np.load(self.folder / "spectra.npz") as arrays:
                for name in (n for n in arrays.files if not n.endswith("/step")):
                    events = zip(arrays[f"{name}/step"].tolist(), arrays[name], strict=True)
                    self.spectra[name] = [(s, value) for s, value in events if s <= step]
            self.spectra = {name: events for name, events in self.spectra.items() if events}
            self._unsaved = True

    @property
    def _csv(self) -> Path:
        return self.folder / "metrics.csv"

    def _write_row(self) -> None:
        new = [name for name in self.row if name not in self.columns]
        if new or not self._csv.exists():
            rows = []
            if self._csv.exists():
                with self._csv.open(newline="") as file:
                    rows = list(csv.DictReader(file))
            self.columns += new
            self._rewrite([*rows, self.row])
        else:
            with self._csv.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(self.row)
        self.row = {}

    def _rewrite(self, rows: list[dict]) -> None:
        with replaced(self._csv) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
