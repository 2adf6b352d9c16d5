"""Curvature of the loss over training: the Fisher by its definitions, and the bound by the Jacobian."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy, mse_loss

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.probe_batch import Probe
from isogain.callbacks.subject import Subject, subject
from isogain.config.errors import ConfigError
from isogain.config.ranges import at_least
from isogain.diagnostics.bound import fisher_bound
from isogain.diagnostics.fisher import Kind, Loss, curvature, ntk_spectrum
from isogain.diagnostics.loss_hessian import LossFunction
from isogain.models.base import Network
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner

EDGES = np.geomspace(1e-9, 1e6, 65)  # 64 bins, an equal ratio each
LOSSES: dict[object, Loss] = {
    **{cross_entropy: "cross_entropy", mse_loss: "squared"},
    **{"cross_entropy": "cross_entropy", "squared": "squared"},
}
OF_FUNCTIONS = ("ggn", "empirical")  # kinds that need no distribution of targets


class Curvature(Diagnostic):
    """Every `every`, on the first `examples` validation examples, for each of `kinds`:
    `fisher_<kind>/lambda_max`, `trace`, and where all eigenvalues are known `rank` and `condition`; the `k` largest
    are in spectra.npz. The summary has λ_max at the end, and as `.../at_start/lambda_max` before the first update.

    Of a mean squared error it is the Fisher of ½‖z − y‖². `ntk` adds the tangent kernel's spectrum. Feed-forward
    networks of ours have `bound/...` too: Sokół and Park's bound of λ_max by σ_max(J), every term of it, and the
    measured value.

    In any LightningModule `loss` is "cross_entropy", "squared" or a function of outputs and targets, which takes kinds
    ggn and empirical: see `isogain.fisher_eigenvalues`. `net`, `probe`, `inputs`, `targets`: see `JacobianSpectrum`.
    """

    def __init__(
        self,
        every: int | str = 1000,
        examples: int = 64,
        k: int = 10,
        kinds: Sequence[Kind] = ("exact",),
        ntk: bool = False,
        at_start: bool = True,
        loss: Loss | LossFunction | None = None,
        net: str | None = None,
        probe: Any = None,
        inputs: Callable[[Any], Any] | None = None,
        targets: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(every, at_start, net)
        self.probe = Probe(examples, probe, inputs, targets)
        self.k, self.kinds, self.ntk = int(at_least("k", k, 1)), tuple(kinds), ntk
        self.loss = loss

    def check(self, who: Subject) -> None:
        if isinstance(who.module, Learner) and self.loss is None:
            _check_task(who.module)
        elif self.loss is None:
            raise ValueError(
                "loss: pass 'cross_entropy', 'squared' or a function of outputs and targets"
            )
        loss = self._loss(who)
        if isinstance(loss, str) and loss not in LOSSES:
            raise ValueError(
                f"loss: there is 'cross_entropy', 'squared' and functions, got {loss!r}"
            )
        if callable(loss) and (others := [kind for kind in self.kinds if kind not in OF_FUNCTIONS]):
            raise ValueError(
                f"kinds: a loss function takes kinds=['ggn'] or ['empirical'], got {others[0]!r}"
            )
        who.called  # noqa: B018 - raises where it cannot be called

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        who = subject(module, self)
        x, y = who.batch(trainer, self.probe)
        net, loss, scalars, arrays = who.called, self._loss(who), {}, {}
        for kind in self.kinds:
            draw = torch.Generator(module.device).manual_seed(
                0
            )  # the same targets all through a run
            result = curvature(net, x, y, self.k, kind, loss, draw)
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
            kernel = ntk_spectrum(net, x).cpu().numpy()
            arrays["ntk/eigenvalues"] = Spectrum(kernel, EDGES, ("value",))
            scalars["ntk/lambda_max"] = float(kernel[0])
        if isinstance(net, Network) and isinstance(loss, str) and not net.sequential:
            scalars |= _bound(net, x, loss)
        largest = {k: v for k, v in scalars.items() if k.endswith("lambda_max")}
        who.keep(largest)
        if trainer.global_step == 0:
            who.metrics.update({k.replace("/", "/at_start/"): v for k, v in largest.items()})
        record(trainer, scalars, arrays)

    def _loss(self, who: Subject) -> Loss | LossFunction:
        loss = who.loss if self.loss is None else self.loss
        return LOSSES.get(loss, loss)


class FisherCurvature(Curvature):
    """`Curvature` under its first name, with the tangent kernel unless ntk=False."""

    def __init__(
        self,
        every: int | str = 1000,
        examples: int = 64,
        k: int = 10,
        kinds: Sequence[Kind] = ("exact",),
        ntk: bool = True,
        at_start: bool = True,
    ) -> None:
        super().__init__(every, examples, k, kinds, ntk, at_start)


def _check_task(learner: Learner) -> None:
    if learner.loss not in LOSSES or learner.net.per_step:
        task = type(learner.trainer.datamodule).__name__
        raise ConfigError(
            f"callbacks.curvature: no Fisher of the loss of {task}; leave it out by ~callbacks.curvature"
        )


def _bound(net: Network, x: torch.Tensor, loss: Loss) -> dict[str, float]:
    """The bound and its terms; of the vectors their sums."""
    bound = fisher_bound(net, x, loss)
    numbers = ("measured", "bound", "sure", "diagonal", "partner", "hessian", "inputs")
    sums = {name: getattr(bound, name).sum().item() for name in ("biases", "weights")}
    largest = {"jacobian_first": bound.jacobians[0].item()}
    return _named("bound", **{name: getattr(bound, name) for name in numbers}, **sums, **largest)


def _named(group: str, **values: float | None) -> dict[str, float]:
    return {f"{group}/{name}": float(v) for name, v in values.items() if v is not None}
