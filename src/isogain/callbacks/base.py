"""When a diagnostic measures."""

import logging
import re
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least
from isogain.training.learner import Learner

log = logging.getLogger(__name__)


class Every(NamedTuple):
    """How often: `500` steps, or at the end of every "1 epoch", "2 epochs"."""

    count: int
    epochs: bool = False

    @classmethod
    def of(cls, every: int | str) -> "Every":
        match = re.fullmatch(r"(-?\d+)(?: (step|epoch)s?)?", str(every).strip())
        if not match:
            raise ValueError(f'every must be a number of steps or "<number> epochs", got {every}')
        return cls(int(at_least("every", int(match[1]), 1)), match[2] == "epoch")

    def due(self, trainer: pl.Trainer) -> bool:
        """Within the last batch of such an epoch, or where the steps done are a multiple."""
        if self.epochs:
            return trainer.is_last_batch and (trainer.current_epoch + 1) % self.count == 0
        return trainer.global_step % self.count == 0


def probe(trainer: pl.Trainer, learner: Learner, examples: int) -> tuple[Tensor, Tensor]:
    """The first `examples` validation examples, their inputs in the precision of the network."""
    x, y = trainer.datamodule.probe(examples)
    return x.to(next(learner.net.parameters()).dtype), y


class Diagnostic(pl.Callback):
    """Calls `measure` before the first update (`at_start`), every `every` (see `Every`), and after the last one.

    Only rank zero measures, with its own random numbers. What cannot be computed (not finite, out of memory) is
    logged once, noted in the summary as `failed/<name>`, the first such step, and left out; training goes on.
    """

    only_observes = True  # training is bitwise the same with and without it

    def __init__(self, every: int | str, at_start: bool = True) -> None:
        self.every, self.at_start = Every.of(every), at_start
        self._measured_at = -1
        self._warned = False

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        raise unwritten(self, "measure")

    def on_train_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        if trainer.global_step == 0 and self.at_start:
            self._measure_once(trainer, learner)

    def on_train_batch_end(self, trainer: pl.Trainer, learner: Learner, *args: Any) -> None:
        if self.every.due(trainer):
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
        devices = [learner.device] if learner.device.type == "cuda" else []
        try:
            with cached(), torch.random.fork_rng(devices):  # each kernel is computed once
                torch.manual_seed(0)
                self.measure(trainer, learner)
        except (RuntimeError, MemoryError) as error:  # RuntimeErrors: LinAlgError, OutOfMemoryError
            self._tell(trainer, learner, error)

    def _tell(self, trainer: pl.Trainer, learner: Learner, error: Exception) -> None:
        name = type(self).__name__
        learner.metrics.setdefault(f"failed/{name}", trainer.global_step)
        if not self._warned:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            log.warning("%s at step %d: %s", name, trainer.global_step, reason)
        self._warned = True
