"""Gradients by layer, gate and time step, before regulariser and clipping."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch

from isogain.callbacks.base import Diagnostic, Every
from isogain.callbacks.path import Path
from isogain.callbacks.probe_batch import Probe
from isogain.callbacks.subject import Subject, subject
from isogain.diagnostics.gradients import gradient_norms, gradient_ratios, signal_gradient_norms
from isogain.record.logger import Spectrum, record
from isogain.training.loss_scale import overflowed, scale_left


class GradientNorms(pl.Callback):
    """Every `every` `grad/<matrix or parameter>`: 2-norm of the gradient at the weights of that step.

    And `grad_ratio/...`, the same in units of the weight's norm. Nothing of a step that a loss scaler skips: its
    gradient overflowed. In any LightningModule: of its parameters, or those of its part `net`, by their names there.
    """

    only_observes = True

    def __init__(self, every: int | str = 125, net: str | None = None) -> None:
        self.every, self.net = Every.of(every), net
        self.metrics: dict[str, float] = {}

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        who = subject(module, self)
        try:
            who.net  # noqa: B018 - raises where there is no such part
        except ValueError as error:
            raise who.refusal(f"GradientNorms: {error}") from None

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        due = trainer.global_step == 0 or self.every.due(trainer)
        if trainer.is_global_zero and due and not overflowed(trainer, optimizer):
            net, scale = subject(module, self).net, scale_left(trainer, optimizer)
            norms, ratios = gradient_norms(net), gradient_ratios(net)
            scalars = {f"grad/{name}": norm / scale for name, norm in norms.items()}
            scalars |= {f"grad_ratio/{name}": r / scale for name, r in ratios.items()}
            if np.isfinite([*scalars.values()]).all() or scale == 1:
                record(trainer, scalars)


class SignalGradients(Diagnostic):
    """Every `every` log ‖∂loss/∂h_l‖ of every layer or time step l, on the first `examples` validation examples.

    `signal_grad/log` in spectra.npz; as scalars its mean over examples at l = 0, `signal_grad/log_first`, and at L,
    `signal_grad/log_last`. The summary has their difference, `signal_grad/log_ratio`, and what it was before the
    first update, `signal_grad/at_start/log_ratio`: below 0 a gradient vanishes on its way, above it explodes.
    In any LightningModule the loss is `loss`, a function of outputs and targets; the other options are those of
    `JacobianSpectrum`, and `targets` takes y out of a batch that is no (x, y).
    """

    def __init__(
        self,
        every: int | str = 500,
        examples: int = 8,
        at_start: bool = True,
        loss: Callable[[Any, Any], torch.Tensor] | None = None,
        along: str | Sequence[str] | None = None,
        over: Literal["time"] | None = None,
        from_input: bool = False,
        net: str | None = None,
        probe: Any = None,
        inputs: Callable[[Any], Any] | None = None,
        targets: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(every, at_start, net)
        self.probe = Probe(examples, probe, inputs, targets)
        self.path = Path(along, over, from_input)
        self.loss = loss

    def check(self, who: Subject) -> None:
        super().check(who)
        if self.loss is None and who.loss is None:
            raise ValueError("loss: pass the function of outputs and targets whose gradient it is")

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        who = subject(module, self)
        x, y = who.batch(trainer, self.probe)
        loss = who.loss if self.loss is None else self.loss
        logs = signal_gradient_norms(self.path.of(who), x, y, loss).numpy()
        ends = {
            "signal_grad/log_first": logs[:, 0].mean(),
            "signal_grad/log_last": logs[:, -1].mean(),
        }
        profile = Spectrum(logs, axes=("example", "place"))
        ratio = float(ends["signal_grad/log_first"] - ends["signal_grad/log_last"])
        who.keep({"signal_grad/log_ratio": ratio})
        if trainer.global_step == 0:
            who.metrics["signal_grad/at_start/log_ratio"] = ratio
        record(trainer, {k: float(v) for k, v in ends.items()}, {"signal_grad/log": profile})
