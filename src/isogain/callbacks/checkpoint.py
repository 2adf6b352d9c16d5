"""`last.ckpt`, the one before it, and `best.ckpt` in a run's `checkpoints/`."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from isogain.files import replaced
from isogain.learner import Learner
from isogain.ranges import at_least


class Checkpoints(Checkpoint):
    """Saves at the end of every epoch, every `every` steps (None: never within an epoch), and at
    the end of training.

    `best.ckpt` is the epoch with the largest validation accuracy (the smallest validation loss,
    where there is no accuracy); of equals the first.
    """

    def __init__(self, every: int | None = None) -> None:
        self.every = None if every is None else int(at_least("every", every, 1))
        self.best_score = self.best_epoch = None
        self._saved_at = -1

    def on_train_batch_end(self, trainer: pl.Trainer, learner: Learner, *args: Any) -> None:
        if (
            self.every
            and trainer.global_step % self.every == 0
            and trainer.global_step != self._saved_at
        ):
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        acc, loss = learner.metrics.get("val/acc"), learner.metrics.get("val/loss")
        score = acc if acc is not None else None if loss is None else -loss
        better = score is not None and (self.best_score is None or score > self.best_score)
        if better:
            self.best_score, self.best_epoch = score, trainer.current_epoch
            learner.metrics |= {"epoch_best": trainer.current_epoch} | (
                {"val/acc_best": acc} if acc is not None else {}
            )
        last = self._save_last(trainer)
        if better and trainer.is_global_zero:
            with replaced(last.with_name("best.ckpt")) as part:
                shutil.copyfile(last, part)

    def on_train_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._save_last(trainer)  # again at the same step, now with what was measured at the end

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]

    def _save_last(self, trainer: pl.Trainer) -> Path:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        last, fresh = folder / "last.ckpt", folder / "next.ckpt"
        trainer.save_checkpoint(fresh, weights_only=False)
        if trainer.is_global_zero:
            if last.exists() and trainer.global_step != self._saved_at:
                os.replace(last, folder / "previous.ckpt")
            os.replace(fresh, last)
        self._saved_at = trainer.global_step
        return last
