"""Curvature of the loss over training: the Fisher by its definitions, and the bound by the Jacobian."""

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy, mse_loss

from isogain.callbacks.base import Diagnostic, probe
from isogain.config.errors import ConfigError
from isogain.config.ranges import at_least
from isogain.diagnostics.bound import fisher_bound
from isogain.diagnostics.fisher import Kind, Loss, curvature, ntk_spectrum
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner

EDGES = np.geomspace(1e-9, 1e6, 65)  # 64 bins, an equal ratio each
LOSSES: dict[object, Loss] = {cross_entropy: "cross_entropy", mse_loss: "squared"}


class FisherCurvature(Diagnostic):
    """Every `every`, on the first `examples` validation examples, for each of `kinds`:
    `fisher_<kind>/lambda_max`, `trace`, and where all eigenvalues are known `rank` and `condition`; the `k` largest
    are in spectra.npz. The summary has λ_max at the end, and as `.../at_start/lambda_max` before the first update.

    Of a mean squared error it is the Fisher of ½‖z − y‖². `ntk` adds the tangent kernel's spectrum. Feed-forward
    networks have `bound/...` too: Sokół and Park's bound of λ_max by σ_max(J), every term of it, and the measured
    value.
    """

    def __init__(
        self,
        every: int | str = 1000,
        examples: int = 64,
        k: int = 10,
        kinds: Sequence[Kind] = ("exact",),
        ntk: bool = True,
        at_start: bool = True,
    ) -> None:
        super().__init__(every, at_start)
        self.examples, self.k = int(at_least("examples", examples, 1)), int(at_least("k", k, 1))
        self.kinds, self.ntk = tuple(kinds), ntk

    def setup(self, trainer: pl.Trainer, learner: Learner, stage: str) -> None:
        if learner.loss not in LOSSES or learner.net.per_step:
            task = type(trainer.datamodule).__name__
            raise ConfigError(
                f"callbacks.curvature: no Fisher of the loss of {task}; leave it out by "
                "~callbacks.curvature"
            )

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        x, y = probe(trainer, learner, self.examples)
        loss, scalars, arrays = LOSSES[learner.loss], {}, {}
        for kind in self.kinds:
            draw = torch.Generator(x.device).manual_seed(0)  # the same targets all through a run
            result = curvature(learner.net, x, y, self.k, kind, loss, draw)
            values = result.eigenvalues.cpu().numpy()
            scalars |= _named(
                f"fisher_{kind}",
                lambda_max=float(values[0]),
                trace=result.trace,
                rank=result.rank,
                condition=result.condition,
            )
            arrays[f"fisher_{kind}/eigenvalues"] = Spectrum(values, EDGES, ("value",))
        if self.ntk:
            kernel = ntk_spectrum(learner.net, x).cpu().numpy()
            arrays["ntk/eigenvalues"] = Spectrum(kernel, EDGES, ("value",))
            scalars["ntk/lambda_max"] = float(kernel[0])
        if not learner.net.sequential:
            scalars |= _bound(learner, x, loss)
        largest = {k: v for k, v in scalars.items() if k.endswith("lambda_max")}
        learner.keep(largest)
        if trainer.global_step == 0:
            learner.metrics |= {k.replace("/", "/at_start/"): v for k, v in largest.items()}
        record(trainer, scalars, arrays)


def _bound(learner: Learner, x: torch.Tensor, loss: Loss) -> dict[str, float]:
    """The bound and its terms; of the vectors their sums."""
    bound = fisher_bound(learner.net, x, loss)
    numbers = ("measured", "bound", "sure", "diagonal", "partner", "hessian", "inputs")
    sums = {name: getattr(bound, name).sum().item() for name in ("biases", "weights")}
    largest = {"jacobian_first": bound.jacobians[0].item()}
    return _named("bound", **{name: getattr(bound, name) for name in numbers}, **sums, **largest)


def _named(group: str, **values: float | None) -> dict[str, float]:
    return {f"{group}/{name}": float(v) for name, v in values.items() if v is not None}
