"""The loss scale of `trainer.precision=16-mixed`, kept out of everything that reads or edits a gradient.

The scaler multiplies the loss, so that gradients do not underflow in float16, divides the gradients again, and skips
a step of which one overflowed.
"""

import math

import pytorch_lightning as pl
import torch

from isogain.config.errors import Divergence

SMALLEST = 2.0**-16  # scale: what overflows float16 in spite of it is above 4e9


def overflowed(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> bool:
    """Whether a gradient of this step is not finite, so that the trainer's GradScaler skips it; waits for the device.

    False where the precision has no scaler. To be asked when the gradients are unscaled. Breaks when GradScaler
    keeps elsewhere what it saw.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None:
        return False
    return any(seen.item() for seen in scaler._found_inf_per_device(optimizer).values())


def scale_left(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> float:
    """The factor that gradients still have when `on_before_optimizer_step` is called: 1 unless it is left to a fused
    optimiser to divide by it. Breaks when GradScaler and Lightning stop asking for `_step_supports_amp_scaling`.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    return scaler.get_scale()


class SkippedSteps:
    """How many steps a scaler skipped, `count`, and whether it skips the one in hand, `now`."""

    def __init__(self) -> None:
        self.count, self.now = 0, False

    def look(self, trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> bool:
        """Whether the step in hand is to be skipped, of which gradients are unscaled and nothing else is done yet."""
        self.now = overflowed(trainer, optimizer)
        self.count += self.now
        return self.now

    def check(self, trainer: pl.Trainer) -> None:
        """Raise Divergence where no scale prevents the overflow: the scaler would skip every step to come."""
        if self.now and trainer.precision_plugin.scaler.get_scale() < SMALLEST:
            raise Divergence("the gradient", math.inf, trainer.global_step)
