"""`last.ckpt`, the one before it, and `best.ckpt` in a run's `checkpoints/`."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from isogain.config.ranges import at_least, positive
from isogain.record.atomic import replaced, sync
from isogain.record.rank import agreed
from isogain.training.learner import Learner


class Checkpoints(Checkpoint):
    """Saves at the end of every epoch and of training; within an epoch every `every` steps, and where
    the last save is `minutes` old (None: never).

    `best.ckpt` is of the validation with the largest accuracy (the smallest loss, where there is no
    accuracy), of equals the first; where an epoch has several, each that is better is saved at once.
    """

    def __init__(self, every: int | None = None, minutes: float | None = 10.0) -> None:
        self.every = None if every is None else int(at_least("every", every, 1))
        self.minutes = None if minutes is None else positive("minutes", minutes)
        self.best_score = self.best_epoch = None
        self.saved_at = -1
        self._saved_when = 0.0
        self._better = False  # than what best.ckpt holds

    def on_train_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._saved_when = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, learner: Learner, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not resumable(trainer, batch_idx) or trainer.global_step == self.saved_at:
            return
        if (self.every and trainer.global_step % self.every == 0) or self._old(trainer):
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        if trainer.sanity_checking or trainer.is_last_batch or at_its_end(trainer):
            return  # the end of an epoch or of training follows
        self._look(learner, trainer.current_epoch)
        if self._better:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._look(learner, trainer.current_epoch)
        if not at_its_end(trainer):
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._look(learner, trainer.current_epoch - 1)  # counted already
        self.save(trainer)  # with what was measured at the end

    def _look(self, learner: Learner, epoch: int) -> None:
        """Keep the score of these weights where it is the best so far."""
        acc, loss = learner.metrics.get("val/acc"), learner.metrics.get("val/loss")
        score = acc if acc is not None else None if loss is None else -loss
        if score is None or not learner.is_current("val/loss"):
            return
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best_epoch, self._better = score, epoch, True
            learner.metrics |= {"epoch_best": epoch, "step_best": learner.global_step}
            learner.metrics |= {} if acc is None else {"val/acc_best": acc}

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]

    def save(self, trainer: pl.Trainer) -> None:
        """Write last.ckpt, and best.ckpt where this is it; what was last.ckpt of an earlier step is previous.ckpt."""
        folder = Path(trainer.default_root_dir) / "checkpoints"
        last, fresh = folder / "last.ckpt", folder / "next.ckpt"
        trainer.save_checkpoint(fresh, weights_only=False)
        if trainer.is_global_zero:
            if self._better:  # first: last.ckpt says that there is such a best.ckpt
                with replaced(folder / "best.ckpt") as part:
                    shutil.copyfile(fresh, part)
            if last.exists() and trainer.global_step != self.saved_at:
                os.replace(last, folder / "previous.ckpt")
            os.replace(fresh, last)
            sync(folder)
        self.saved_at, self._saved_when, self._better = trainer.global_step, time.monotonic(), False

    def _old(self, trainer: pl.Trainer) -> bool:
        if self.minutes is None:
            return False
        return bool(agreed(trainer, time.monotonic() - self._saved_when > 60 * self.minutes))


def resumable(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint saved at the end of this batch resumes to the same run.

    Not between two batches of a step, whose gradients no checkpoint holds, nor where a validation or the end
    of the epoch comes next, which Lightning would leave out.
    """
    stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
    last = trainer.is_last_batch or batch_idx + 1 == trainer.num_training_batches
    return stepped and not last and not _validates(trainer, batch_idx) and not at_its_end(trainer)


def at_its_end(trainer: pl.Trainer) -> bool:
    """Whether no more batches of training follow; what is saved then would resume without the hooks that do."""
    behind = (
        trainer.fit_loop.epoch_progress.current.processed
    )  # 1 more than completed in the last hooks of an epoch
    return (
        trainer.should_stop
        or trainer.global_step == trainer.max_steps
        or behind == trainer.max_epochs
    )


def _validates(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether Lightning validates after this batch, which is not the last of its epoch."""
    every = trainer.val_check_batch
    if trainer.check_val_every_n_epoch is None:
        batch_idx = trainer.fit_loop.total_batch_idx
    return every is not None and trainer.enable_validation and (batch_idx + 1) % every == 0
