"""Singular values and orthogonality gap of the kernels, from step 0."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.subject import Subject, subject
from isogain.diagnostics.matched_weights import weight_gaps, weight_shapes, weight_spectra
from isogain.diagnostics.weights import kernel_gaps, kernel_shapes, kernel_spectra
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner

EDGES = np.geomspace(1e-2, 1e1, 65)  # 64 bins, an equal ratio each


class WeightDiagnostic(Diagnostic):
    """Measures weights: our Learner's kernels at their gains, or what `match` names of any module, at `gain`.

    `match`, `view`, `blocks` as in `isogain.diagnostics.weight_spectra`, by default every matrix; `gain` is one number,
    or one a weight by its name.
    """

    def __init__(
        self,
        every: int | str,
        at_start: bool = True,
        match: str | None = None,
        view: Callable[[Tensor], Tensor] | None = None,
        blocks: int | str | None = None,
        gain: float | Mapping[str, float] = 1.0,
        net: str | None = None,
    ) -> None:
        super().__init__(every, at_start, net)
        self.match, self.view, self.blocks, self.gain = match, view, blocks, gain

    def check(self, who: Subject) -> None:
        if self.of_learner(who.module) is None:
            weight_gaps(who.net, self.gain, **self.chosen)

    def of_learner(self, module: pl.LightningModule) -> Learner | None:
        """Our Learner where its own kernels are measured."""
        own = isinstance(module, Learner) and self.match is None and self.net is None
        return module if own else None

    @property
    def chosen(self) -> dict[str, Any]:
        """What `weight_spectra` is called with."""
        return {"match": self.match or "*", "view": self.view, "blocks": self.blocks}


class OrthogonalityGap(WeightDiagnostic):
    """Every `every`: `gap/<matrix>`, their largest as `gap/max`, `gain`, and what the regulariser reports."""

    def __init__(
        self,
        every: int | str = 250,
        at_start: bool = True,
        match: str | None = None,
        view: Callable[[Tensor], Tensor] | None = None,
        blocks: int | str | None = None,
        gain: float | Mapping[str, float] = 1.0,
        net: str | None = None,
    ) -> None:
        super().__init__(every, at_start, match, view, blocks, gain, net)

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        who = subject(module, self)
        gaps, reported = self._gaps(who)
        largest = max(gaps.values())
        worst = max(largest, who.metrics.get("gap/worst", largest))
        who.keep({"gap/final": largest} | reported)
        who.metrics["gap/worst"] = worst
        record(trainer, {f"gap/{k}": v for k, v in gaps.items()} | {"gap/max": largest} | reported)

    def _gaps(self, who: Subject) -> tuple[dict[str, float], dict[str, float]]:
        """By matrix, and of the gains."""
        if (learner := self.of_learner(who.module)) is not None:
            gains = learner.gains()
            reported = learner.reg.report() | gain_statistics(gains)
            return kernel_gaps(learner.net, gains), reported
        return weight_gaps(who.net, self.gain, **self.chosen), {}


class WeightSpectrum(WeightDiagnostic):
    """Every `every`: `weights/<kernel>`, all singular values, and of them `distance/<matrix>` to g·Stiefel and
    `effective_rank/<matrix>`.
    """

    def __init__(
        self,
        every: int | str = 500,
        at_start: bool = True,
        match: str | None = None,
        view: Callable[[Tensor], Tensor] | None = None,
        blocks: int | str | None = None,
        gain: float | Mapping[str, float] = 1.0,
        net: str | None = None,
    ) -> None:
        super().__init__(every, at_start, match, view, blocks, gain, net)

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        values, shapes = self._measured(subject(module, self))
        scalars = {f"{k}/{label}": v for label, shape in shapes.items() for k, v in shape.items()}
        spectra = {
            f"weights/{name}": Spectrum(s.cpu().numpy(), EDGES, ("matrix", "value"))
            for name, s in values.items()
        }
        record(trainer, scalars, spectra)

    def _measured(self, who: Subject) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
        """Singular values by weight, and their shapes by matrix."""
        if (learner := self.of_learner(who.module)) is not None:
            values = kernel_spectra(learner.net)
            return values, kernel_shapes(learner.net, learner.gains(), values)
        values = weight_spectra(who.net, **self.chosen)
        return values, weight_shapes(who.net, self.gain, spectra=values, **self.chosen)


def gain_statistics(gains: list[float | Tensor]) -> dict[str, float]:
    """`gain`, the mean over all matrices, and `gain/min` and `gain/max` where they are learned."""
    values = torch.cat(
        [torch.as_tensor(gain, dtype=torch.float64).flatten().cpu() for gain in gains]
    )
    learned = any(isinstance(gain, Tensor) for gain in gains)
    extremes = {"gain/min": values.min().item(), "gain/max": values.max().item()} if learned else {}
    return {"gain": values.mean().item()} | extremes
