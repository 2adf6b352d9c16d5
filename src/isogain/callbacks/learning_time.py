"""How many steps a network needs to reach a loss or an accuracy."""

from collections.abc import Sequence
from typing import Any, Literal

import pytorch_lightning as pl

from isogain.config.ranges import at_least
from isogain.training.learner import Learner

Metric = Literal["train/loss", "train/acc", "val/loss", "val/acc"]


class LearningTime(pl.Callback):
    """In the summary `steps_to/<metric>/<value>` for each value of `at`: the steps done when the metric was first
    read as that good, a loss at or below the value or an accuracy at or above it; absent where it never was.

    It sees what the run logs: training metrics are means over `trainer.log_every_n_steps` steps, so times are
    multiples of that; validation metrics come an epoch. `stop` ends the training once all are reached.
    """

    def __init__(
        self, metric: Metric = "train/loss", at: Sequence[float] = (), stop: bool = False
    ) -> None:
        self.metric, self.stop = metric, stop
        self.at = [at_least("at", value, 0) for value in at]
        if stop and not self.at:
            raise ValueError("stop: has no effect without a value in at")

    @property
    def awaited(self) -> tuple[str, str] | None:
        """The option that names the metric it waits for, and that metric; None where it waits for none."""
        return ("metric", self.metric) if self.at else None

    def on_train_batch_start(self, trainer: pl.Trainer, learner: Learner, *args: Any) -> None:
        """After the learner's own callbacks, which read the sums once this one's `on_train_batch_end` is over."""
        self._look(trainer, learner)

    def on_validation_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._look(trainer, learner)

    def on_train_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._look(trainer, learner)

    def _look(self, trainer: pl.Trainer, learner: Learner) -> None:
        now = learner.metrics.get(self.metric)
        if now is None:
            return
        for value in self.at:
            if now <= value if self.metric.endswith("loss") else now >= value:
                learner.metrics.setdefault(self._name(value), trainer.global_step)
        if self.stop and self.at and all(self._name(v) in learner.metrics for v in self.at):
            trainer.should_stop = True

    def _name(self, value: float) -> str:
        return f"steps_to/{self.metric}/{value:g}"
