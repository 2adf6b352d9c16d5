"""The record of a run: `metrics.csv` and `spectra.npz` in its folder, and the one call that everything logs through."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from isogain.config.errors import FolderLost
from isogain.record.arrays_beside import add_arrays
from isogain.record.held_folder import HeldFolder
from isogain.record.histograms import add_histograms, wandb_histograms
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
    """Log an event under the number of steps done: scalars to every logger, histograms to those that have any.

    The arrays go to our loggers; where the trainer has none, to a `spectra.npz` beside its own (`arrays_beside`).
    """
    scalars, spectra = {"epoch": trainer.current_epoch, **scalars}, spectra or {}
    for logger in trainer.loggers:
        if hasattr(logger, "log_event"):
            logger.log_event(scalars, spectra, trainer.global_step)
        else:
            logger.log_metrics(
                scalars | wandb_histograms(logger, spectra), step=trainer.global_step
            )
            add_histograms(logger, spectra, trainer.global_step)
    if spectra and not any(isinstance(logger, RunRecord) for logger in trainer.loggers):
        add_arrays(trainer, spectra)


def number_by_steps_done_(trainer: pl.Trainer) -> None:
    """Let what Lightning logs by itself, `self.log`, stand at the number of steps done, as `record` does.

    Lightning counts a step only after its loggers were called: its own number is one less where a batch, a
    validation and an epoch end. Breaks when its connector's `log_metrics` or `_batches_that_stepped` goes.
    """
    trainer._logger_connector.log_metrics = partial(_at_steps_done, trainer)
    for logger in trainer.loggers:
        if isinstance(logger, RunRecord):
            logger.trainer = trainer


def _at_steps_done(
    trainer: pl.Trainer, metrics: Mapping[str, Any], step: int | None = None
) -> None:
    connector, loop = trainer._logger_connector, trainer.fit_loop.epoch_loop
    own, loop._batches_that_stepped = loop._batches_that_stepped, trainer.global_step
    try:
        type(connector).log_metrics(connector, metrics, step)
    finally:
        loop._batches_that_stepped = own


class RunRecord(Logger):
    """One row a step in `metrics.csv`; in `spectra.npz`, for each name, the values (events, ...), `name/step`
    (events,) and `name/axes`.

    A row is on the disk as soon as a later step logs something, all is at every `flush`.
    """

    name = version = None

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.held = HeldFolder(folder)
        self.table = Table(folder / "metrics.csv")
        self.trainer: pl.Trainer | None = None  # whose steps count where a call names none
        self.arrays = Arrays(folder / "spectra.npz")

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration is in config.yaml."""

    @rank_zero_only
    def log_event(
        self, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum], step: int
    ) -> None:
        self.held.check()
        self.table.add(step, scalars)
        for name, spectrum in spectra.items():
            self.arrays.add(step, name, spectrum.values, spectrum.axes, spectrum.edges)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Fill in cells of the row of `step`; without one, of the steps done."""
        cells = dict(flat(metrics))
        now = self.trainer.global_step if self.trainer else 0
        step = int(cells.get("step", now) if step is None else step)
        if self.trainer and step == now and "epoch" not in self.table.newest(step):
            cells = {"epoch": self.trainer.current_epoch} | cells
        self.log_event(cells, {}, step)

    @rank_zero_only
    def flush(self) -> None:
        """Put everything logged so far on the disk; raises FolderLost where the folder is not the run's any more."""
        self.held.check()
        try:
            self.table.sync()
        finally:
            self.arrays.flush()

    def finalize(self, status: str) -> None:
        with suppress(
            OSError, FolderLost
        ):  # `run` flushes again, and reports what cannot be written
            self.flush()

    def extent(self) -> dict[str, dict[str, Any]]:
        """The extent of each file, which a checkpoint of this moment relies on."""
        return {"metrics.csv": self.table.extent(), "spectra.npz": self.arrays.extent()}

    @rank_zero_only
    def rewind(self, step: int, extent: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Continue the files in the folder, without what they hold of later steps than `step`.

        The log names what they lack of the `extent` that they had when a checkpoint was saved.
        """
        extent = extent or {}
        self.table.rewind(step, extent.get("metrics.csv"))
        self.arrays.rewind(step, extent.get("spectra.npz"))

    def unwritten(self) -> str:
        """The logged values that are not on the disk, in words; "" where all are."""
        steps = self.table.unwritten()
        rows = [f"cells of metrics.csv from step {steps[0]} to {steps[-1]}"] if steps else []
        return " and ".join([*rows, *(["spectra.npz"] if self.arrays.unwritten() else [])])


def flat(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | int | str]]:
    """Names and numbers; a nested metric is named `name/value`, other values become text, and None is left out."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}/")
        elif value is not None:
            yield f"{prefix}{name}", _number(value)


def _number(value: Any) -> float | int | str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):  # of a tensor with several values, the last one
        return str(value)
