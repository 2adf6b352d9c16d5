"""Loss and accuracy over the examples of all processes, and when they are read; the final weights are validated."""

import math
from typing import Any, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.config.errors import Divergence

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

    def of_processes(self, trainer: pl.Trainer) -> Tensor:
        """The sums of every process; (processes, 4)."""
        every = self.sums.new_zeros(trainer.world_size, len(self.sums))
        every[trainer.global_rank] = self.sums
        return trainer.strategy.reduce(every, reduce_op="sum")

    def sums_and_reset_(self, trainer: pl.Trainer) -> Sums:
        """The sums over all processes, which begin anew: the one wait for the device in training."""
        loss, hits, examples, bad = zip(*self.of_processes(trainer).tolist(), strict=True)
        self.sums.zero_()
        step = int(max(bad)) - 1 if any(bad) else None
        return Sums(sum(loss), sum(hits), sum(examples), step)

    def restore(self, every: Tensor, trainer: pl.Trainer) -> None:
        """Restore this process's part of all sums; if the number of processes differs, rank zero restores all."""
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


class Flushed(Protocol):
    """What it reads: a learner."""

    def flush(self, split: str) -> dict[str, float]:
        """Read, log and reset the sums."""

    def is_current(self, name: str) -> bool:
        """Whether a metric is of the present weights."""

    measured_at: dict[str, int]


class TrainingMetrics(pl.Callback):
    """Every `trainer.log_every_n_steps` steps and at the end of an epoch. What training ends with is validated too.

    A callback, since those that save a checkpoint come after all others.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, learner: Flushed, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        ended = trainer.global_step == trainer.max_steps
        last = ended or batch_idx + 1 == trainer.num_training_batches
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if last or (stepped and trainer.global_step % trainer.log_every_n_steps == 0):
            learner.flush("train")

    def on_validation_start(self, trainer: pl.Trainer, learner: Flushed) -> None:
        learner.flush("train")

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: Flushed) -> None:
        learner.flush("train")  # where a callback ends an epoch early

    def on_train_end(self, trainer: pl.Trainer, learner: Flushed) -> None:
        """Where training ended within an epoch, or at the end of one without a validation."""
        validated = "val/loss" in learner.measured_at and learner.is_current("val/loss")
        if trainer.enable_validation and not validated:
            _validate(trainer)


def _validate(trainer: pl.Trainer) -> None:
    """Run the validation loop as Lightning does between two batches.

    Breaks when Lightning's epoch loop no longer has its `val_loop`, or the trainer other stages.
    """
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True
