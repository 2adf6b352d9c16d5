"""When the sums that the learner keeps over training batches are read, and that the final weights are validated."""

from typing import Any, Protocol

import pytorch_lightning as pl


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
