"""Arrays of a training that has no run folder of ours: `spectra.npz` beside what its own logger writes."""

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import pytorch_lightning as pl

from isogain.record.spectra_events import NAME
from isogain.record.spectra_npz import Arrays

if TYPE_CHECKING:
    from isogain.record.logger import Spectrum

_OPEN: WeakKeyDictionary[pl.Trainer, Arrays] = WeakKeyDictionary()


def arrays_folder(trainer: pl.Trainer) -> Path:
    """The first `log_dir` of the trainer's loggers, else its `default_root_dir`.

    `trainer.log_dir` waits for all processes, and only one of them measures.
    """
    folders = [getattr(logger, "log_dir", None) for logger in trainer.loggers]
    return Path(next((folder for folder in folders if folder), trainer.default_root_dir))


def begin_arrays(trainer: pl.Trainer) -> None:
    """Continue the file of a resumed training, without what it holds of later steps; that of another training gets
    another name, spectra-1.npz.
    """
    path = arrays_folder(trainer) / NAME
    if trainer in _OPEN and _OPEN[trainer].path == path:
        return
    arrays = _OPEN[trainer] = Arrays(path)
    if trainer.global_step:
        arrays.rewind(trainer.global_step)
    elif os.path.lexists(path):
        names = (path.with_stem(f"{path.stem}-{n}") for n in count(1))
        os.rename(path, next(name for name in names if not os.path.lexists(name)))


def add_arrays(trainer: pl.Trainer, spectra: Mapping[str, "Spectrum"]) -> None:
    """Take up an event under the number of steps done; a trainer with `fast_dev_run` leaves nothing behind."""
    if trainer.fast_dev_run or not spectra:
        return
    if trainer not in _OPEN:
        begin_arrays(trainer)
    for name, spectrum in spectra.items():
        _OPEN[trainer].add(
            trainer.global_step, name, spectrum.values, spectrum.axes, spectrum.edges
        )


def flush_arrays(trainer: pl.Trainer) -> None:
    """Put all events on the disk; nothing where there are none."""
    if trainer in _OPEN and _OPEN[trainer].unwritten():
        _OPEN[trainer].path.parent.mkdir(parents=True, exist_ok=True)
        _OPEN[trainer].flush()
