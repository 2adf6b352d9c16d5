"""Singular values and orthogonality gap of the kernels, from step 0."""

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic
from isogain.diagnostics.weights import kernel_gaps, kernel_spectra
from isogain.learner import Learner
from isogain.record import Spectrum, record

EDGES = np.geomspace(1e-2, 1e1, 65)  # 64 bins, an equal ratio each


class WeightSpectrum(Diagnostic):
    """Every `every` steps: `gap/<matrix>`, their largest as `gap/max`, and `weights/<kernel>`, all singular values."""

    def __init__(self, every: int = 125) -> None:
        super().__init__(every)

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        gaps = kernel_gaps(learner.net, learner.gain)
        largest = max(gaps.values())
        worst = max(largest, learner.metrics.get("gap/worst", largest))
        learner.metrics |= {"gap/final": largest, "gap/worst": worst}
        spectra = {
            f"weights/{k}": Spectrum(s.cpu().numpy(), EDGES)
            for k, s in kernel_spectra(learner.net).items()
        }
        record(trainer, {**{f"gap/{k}": v for k, v in gaps.items()}, "gap/max": largest}, spectra)
