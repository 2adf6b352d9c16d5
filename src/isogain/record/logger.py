"""The record of a run: `metrics.csv` and `spectra.npz` in its folder, and the one call that everything logs through."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from isogain.record.metrics_csv import Table
from isogain.record.spectra_npz import Arrays


class Spectrum(NamedTuple):
    """Numbers that belong together at one step, the names of their axes, and the bin edges of their histogram.

    The edges are the same all through a run; without any there is no histogram, only the array.
    """

    values: np.ndarray
    edges: np.ndarray | None = None
    axes: tuple[str, ...] = ()


def record(
    trainer: pl.Trainer, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum] | None = None
) -> None:
    """Log an event under the number of steps done: scalars to every logger, spectra to those that can."""
    scalars = {"epoch": trainer.current_epoch, **scalars}
    for logger in trainer.loggers:
        if hasattr(logger, "log_event"):
            logger.log_event(scalars, spectra or {}, trainer.global_step)
        else:
            logger.log_metrics(scalars, trainer.global_step)


class RunRecord(Logger):
    """One row a step in `metrics.csv`; in `spectra.npz`, for each name, the values (events, ...), `name/step`
    (events,) and `name/axes`.

    A row is on the disk as soon as a later step logs something, all is at every `flush`.
    """

    name = version = None

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.table = Table(folder / "metrics.csv")
        self.arrays = Arrays(folder / "spectra.npz")

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration is in config.yaml."""

    @rank_zero_only
    def log_event(
        self, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum], step: int
    ) -> None:
        self.table.add(step, scalars)
        for name, spectrum in spectra.items():
            self.arrays.add(step, name, spectrum.values, spectrum.axes)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.log_event({name: float(value) for name, value in metrics.items()}, {}, int(step or 0))

    @rank_zero_only
    def flush(self) -> None:
        """Put everything logged so far on the disk."""
        self.table.sync()
        self.arrays.flush()

    def finalize(self, status: str) -> None:
        self.flush()

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Take up the files found in the folder, and forget what they hold of later steps than `step`."""
        self.table.rewind(step)
        self.arrays.rewind(step)
