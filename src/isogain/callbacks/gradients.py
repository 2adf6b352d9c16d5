"""Gradients by layer, gate and time step, before regulariser and clipping."""

import pytorch_lightning as pl
import torch

from isogain.callbacks.base import Diagnostic, Every, probe
from isogain.config.ranges import at_least
from isogain.diagnostics.gradients import gradient_norms, gradient_ratios, signal_gradient_norms
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner
from isogain.training.loss_scale import overflowed


class GradientNorms(pl.Callback):
    """Every `every` `grad/<matrix or parameter>`: 2-norm of the gradient at the weights of that step.

    And `grad_ratio/...`, the same in units of the weight's norm. Nothing of a step that a loss scaler skips: its
    gradient overflowed.
    """

    def __init__(self, every: int | str = 125) -> None:
        self.every = Every.of(every)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, learner: Learner, optimizer: torch.optim.Optimizer
    ) -> None:
        due = trainer.global_step == 0 or self.every.due(trainer)
        if trainer.is_global_zero and due and not overflowed(trainer, optimizer):
            norms, ratios = gradient_norms(learner.net), gradient_ratios(learner.net)
            scalars = {f"grad/{name}": norm for name, norm in norms.items()}
            record(trainer, scalars | {f"grad_ratio/{name}": r for name, r in ratios.items()})


class SignalGradients(Diagnostic):
    """Every `every` log ‖∂loss/∂h_l‖ of every layer or time step l, on the first `examples` validation examples.

    `signal_grad/log` in spectra.npz; as scalars its mean over examples at l = 0, `signal_grad/log_first`, and at L,
    `signal_grad/log_last`. The summary has their difference, `signal_grad/log_ratio`, and what it was before the
    first update, `signal_grad/at_start/log_ratio`: below 0 a gradient vanishes on its way, above it explodes.
    """

    def __init__(self, every: int | str = 500, examples: int = 8, at_start: bool = True) -> None:
        super().__init__(every, at_start)
        self.examples = int(at_least("examples", examples, 1))

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        x, y = probe(trainer, learner, self.examples)
        logs = signal_gradient_norms(learner.net, x, y, learner.loss).numpy()
        ends = {
            "signal_grad/log_first": logs[:, 0].mean(),
            "signal_grad/log_last": logs[:, -1].mean(),
        }
        profile = Spectrum(logs, axes=("example", "place"))
        ratio = float(ends["signal_grad/log_first"] - ends["signal_grad/log_last"])
        learner.keep({"signal_grad/log_ratio": ratio})
        if trainer.global_step == 0:
            learner.metrics["signal_grad/at_start/log_ratio"] = ratio
        record(trainer, {k: float(v) for k, v in ends.items()}, {"signal_grad/log": profile})
