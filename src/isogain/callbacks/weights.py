"""Singular values and orthogonality gap of the kernels, from step 0."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.callbacks.base import Diagnostic
from isogain.diagnostics.weights import kernel_gaps, kernel_shapes, kernel_spectra
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner

EDGES = np.geomspace(1e-2, 1e1, 65)  # 64 bins, an equal ratio each


class OrthogonalityGap(Diagnostic):
    """Every `every`: `gap/<matrix>`, their largest as `gap/max`, `gain`, and what the regulariser reports."""

    def __init__(self, every: int | str = 250, at_start: bool = True) -> None:
        super().__init__(every, at_start)

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        gains = learner.gains()
        gaps = kernel_gaps(learner.net, gains)
        largest = max(gaps.values())
        worst = max(largest, learner.metrics.get("gap/worst", largest))
        reported = learner.reg.report() | gain_statistics(gains)
        learner.keep({"gap/final": largest} | reported)
        learner.metrics["gap/worst"] = worst
        record(trainer, {f"gap/{k}": v for k, v in gaps.items()} | {"gap/max": largest} | reported)


class WeightSpectrum(Diagnostic):
    """Every `every`: `weights/<kernel>`, all singular values, and of them `distance/<matrix>` to g·Stiefel and
    `effective_rank/<matrix>`.
    """

    def __init__(self, every: int | str = 500, at_start: bool = True) -> None:
        super().__init__(every, at_start)

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        values = kernel_spectra(learner.net)
        shapes = kernel_shapes(learner.net, learner.gains(), values)
        scalars = {f"{k}/{label}": v for label, shape in shapes.items() for k, v in shape.items()}
        spectra = {
            f"weights/{name}": Spectrum(s.cpu().numpy(), EDGES, ("matrix", "value"))
            for name, s in values.items()
        }
        record(trainer, scalars, spectra)


def gain_statistics(gains: list[float | Tensor]) -> dict[str, float]:
    """`gain`, the mean over all matrices, and `gain/min` and `gain/max` where they are learned."""
    values = torch.cat(
        [torch.as_tensor(gain, dtype=torch.float64).flatten().cpu() for gain in gains]
    )
    learned = any(isinstance(gain, Tensor) for gain in gains)
    extremes = {"gain/min": values.min().item(), "gain/max": values.max().item()} if learned else {}
    return {"gain": values.mean().item()} | extremes
