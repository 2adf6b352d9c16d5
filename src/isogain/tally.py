"""The sums behind an epoch's loss and accuracy, over examples and over the processes that train together."""

import math
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.errors import Divergence

LOSS, HITS, EXAMPLES, BAD_STEP = range(4)


class Sums(NamedTuple):
    """Of loss and hits over examples, the examples, and the first step with a loss that was not finite, or None."""

    loss: float
    hits: float
    examples: float
    bad_step: int | None


class Tally:
    """Stays on the device until it is read. No buffer: DDP overwrites those with rank zero's.

    `sums` (4,) holds those of `Sums`, of this process, and for the last 1 + the step, or 0.
    """

    def __init__(self) -> None:
        self.sums = torch.zeros(4, dtype=torch.float64)

    def add(self, loss: Tensor, hits: Tensor | None, examples: int) -> None:
        """A batch's mean loss and number of hits."""
        self.sums = self.sums.to(loss.device)
        self.sums[LOSS] += loss.detach() * examples
        if hits is not None:
            self.sums[HITS] += hits.sum()
        self.sums[EXAMPLES] += examples

    def mark(self, loss: Tensor, step: int) -> None:
        """Keep the step where this loss is the first that is not finite; nothing is read from the device."""
        bad = ~torch.isfinite(loss.detach()) & (self.sums[BAD_STEP] == 0)
        self.sums[BAD_STEP] += bad * (step + 1)

    def of_all(self, trainer: pl.Trainer) -> Tensor:
        """The sums of every process; (processes, 4)."""
        every = self.sums.new_zeros(trainer.world_size, len(self.sums))
        every[trainer.global_rank] = self.sums
        return trainer.strategy.reduce(every, reduce_op="sum")

    def taken(self, trainer: pl.Trainer) -> Sums:
        """The sums over all processes, which begin anew: the one wait for the device in training."""
        loss, hits, examples, bad = zip(*self.of_all(trainer).tolist(), strict=True)
        self.sums.zero_()
        step = int(max(bad)) - 1 if any(bad) else None
        return Sums(sum(loss), sum(hits), sum(examples), step)

    def restore(self, every: Tensor, trainer: pl.Trainer) -> None:
        """Take up this process's of what `of_all` said; rank zero takes all where another number of processes did."""
        every = every.view(-1, len(self.sums))
        if len(every) == trainer.world_size:
            own = every[trainer.global_rank]
        else:
            own = every.sum(0) * trainer.is_global_zero
        self.sums.copy_(own)


def stop_unless_finite(values: dict[str, float | Tensor], step: int) -> None:
    """Raise Divergence that names the first of the values that is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise Divergence(name, float(value), step)
