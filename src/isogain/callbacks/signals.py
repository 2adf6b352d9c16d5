"""The forward signal layer by layer, or step by step, over training."""

from dataclasses import asdict

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic, probe
from isogain.config.ranges import at_least
from isogain.diagnostics.signals import signals
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner


class SignalStatistics(Diagnostic):
    """Every `every`, on the first `examples` validation examples, what `diagnostics.signals.Signals` lists.

    `signal/<statistic>` in spectra.npz for every layer or time step and matrix; as a scalar its mean over them.
    """

    def __init__(self, every: int | str = 500, examples: int = 64, at_start: bool = True) -> None:
        super().__init__(every, at_start)
        self.examples = int(at_least("examples", examples, 2))  # a correlation takes two

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        x, _ = probe(trainer, learner, self.examples)
        arrays = {
            f"signal/{k}": v.cpu().numpy() for k, v in asdict(signals(learner.net, x)).items()
        }
        known = {
            name: v[np.isfinite(v)] for name, v in arrays.items()
        }  # NaN where all units are equal
        scalars = {name: float(v.mean()) for name, v in known.items() if v.size}
        record(
            trainer, scalars, {k: Spectrum(v, axes=("place", "matrix")) for k, v in arrays.items()}
        )
