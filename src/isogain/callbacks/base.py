"""When a diagnostic measures."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn.utils.parametrize import cached

from isogain.learner import Learner
from isogain.ranges import at_least

log = logging.getLogger(__name__)


class Diagnostic(pl.Callback):
    """Calls `measure` before the first update, every `every` steps, and after the last one.

    Only rank zero measures. What cannot be computed is said once in the log and left out; training
    goes on.
    """

    def __init__(self, every: int) -> None:
        self.every = int(at_least("every", every, 1))
        self._measured_at = -1
        self._warned = False

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        raise NotImplementedError

    def on_train_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        if trainer.global_step == 0:
            self._measure_once(trainer, learner)

    def on_train_batch_end(self, trainer: pl.Trainer, learner: Learner, *args: Any) -> None:
        if trainer.global_step % self.every == 0:
            self._measure_once(trainer, learner)

    def on_train_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._measure_once(trainer, learner)

    def state_dict(self) -> dict[str, Any]:
        return {"measured_at": self._measured_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._measured_at = state["measured_at"]

    def _measure_once(self, trainer: pl.Trainer, learner: Learner) -> None:
        """Measure at this step, unless that was done (several batches can make one step)."""
        if not trainer.is_global_zero or trainer.global_step == self._measured_at:
            return
        self._measured_at = trainer.global_step
        try:
            with cached():  # a re-parametrised kernel is computed once a measurement
                self.measure(trainer, learner)
        except torch.linalg.LinAlgError as error:
            if not self._warned:
                reason = str(error).splitlines()[0]
                log.warning("%s at step %d: %s", type(self).__name__, trainer.global_step, reason)
            self._warned = True
