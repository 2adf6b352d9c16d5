"""What is seen while a run trains: a bar on a terminal, a line an epoch everywhere."""

import logging
import sys
import time
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from isogain.training.learner import Learner

log = logging.getLogger(__name__)
SHOWN = ("train/loss", "train/acc", "val/loss", "val/acc")


class Progress(pl.Callback):
    """One bar over all steps with the latest losses and accuracies; none where stderr is no terminal, or where the
    user has chosen another.
    """

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self._epoch_start = 0.0

    def on_train_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._epoch_start = time.perf_counter()
        total, another = trainer.estimated_stepping_batches, trainer.progress_bar_callback
        self.bar = tqdm(
            total=int(total) if total != float("inf") else None,
            initial=trainer.global_step,
            disable=not (trainer.is_global_zero and sys.stderr.isatty()) or another is not None,
            dynamic_ncols=True,
            leave=False,
            unit="step",
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._epoch_start = time.perf_counter()
        self.bar.set_description(f"epoch {trainer.current_epoch + 1}", refresh=False)

    def on_train_batch_end(self, trainer: pl.Trainer, learner: Learner, *args: Any) -> None:
        self.bar.update(trainer.global_step - self.bar.n)
        if not self.bar.disable and (trainer.global_step - 1) % trainer.log_every_n_steps == 0:
            shown = {
                name: f"{learner.metrics[name]:.3f}" for name in SHOWN if name in learner.metrics
            }
            self.bar.set_postfix(shown, refresh=False)  # the step after new values

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        values = "  ".join(_dated(learner, name) for name in SHOWN if name in learner.metrics)
        seconds = time.perf_counter() - self._epoch_start
        self.bar.clear()
        log.info("epoch %2d  %s  %.1f s", trainer.current_epoch + 1, values, seconds)

    def on_train_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self.bar.close()

    def on_exception(self, trainer: pl.Trainer, learner: Learner, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.close()


def _dated(learner: Learner, name: str) -> str:
    """A metric, and the step at which it was measured where that is not this one."""
    step = "" if learner.is_current(name) else f" (step {learner.measured_at[name]})"
    return f"{name} {learner.metrics[name]:.4f}{step}"
