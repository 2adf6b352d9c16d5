"""When the sums that the learner keeps over training batches are read."""

from typing import Any, Protocol

import pytorch_lightning as pl


class Flushed(Protocol):
    """What it reads: a learner."""

    def flush(self, split: str) -> dict[str, float]:
        """Read, log and reset the sums."""


class TrainingMetrics(pl.Callback):
    """Every `trainer.log_every_n_steps` steps and at the end of an epoch.

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
