"""Gradient norms by layer and gate, before regulariser and clipping."""

from typing import Any

import pytorch_lightning as pl

from isogain.diagnostics.gradients import gradient_norms
from isogain.learner import Learner
from isogain.ranges import at_least
from isogain.record import record


class GradientNorms(pl.Callback):
    """Every `every` steps `grad/<matrix or parameter>`: 2-norm of the gradient at the weights of that step."""

    def __init__(self, every: int = 125) -> None:
        self.every = int(at_least("every", every, 1))

    def on_before_optimizer_step(self, trainer: pl.Trainer, learner: Learner, *args: Any) -> None:
        if trainer.is_global_zero and trainer.global_step % self.every == 0:
            record(
                trainer,
                {f"grad/{name}": norm for name, norm in gradient_norms(learner.net).items()},
            )
