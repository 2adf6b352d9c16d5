"""When a diagnostic measures."""

import logging
import re
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch.nn.utils.parametrize import cached

from isogain.callbacks.path import Path
from isogain.callbacks.probe_batch import Probe, generators_kept
from isogain.callbacks.subject import Subject, subject
from isogain.config.errors import unwritten
from isogain.config.ranges import at_least
from isogain.record.arrays_beside import begin_arrays, flush_arrays
from isogain.record.logger import RunRecord

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


class Diagnostic(pl.Callback):
    """Calls `measure` before the first update (`at_start`), every `every` (see `Every`), and after the last one.

    Only rank zero measures, with its own random numbers. What cannot be computed (not finite, out of memory) is
    logged once, noted in the summary as `failed/<name>`, the first such step, and left out; training goes on.

    In any LightningModule: names and patterns begin at the module, or at its part `net`; options that cannot be are
    refused before training; the latest numbers are in `metrics`.
    """

    only_observes = True  # training is bitwise the same with and without it
    probe: Probe | None = None  # the examples that it measures on
    path: Path | None = None  # the trajectory that it measures along

    def __init__(self, every: int | str, at_start: bool = True, net: str | None = None) -> None:
        self.every, self.at_start, self.net = Every.of(every), at_start, net
        self.metrics: dict[str, float] = {}  # of a module that keeps none itself
        self._measured_at = -1
        self._warned = False

    @property
    def state_key(self) -> str:
        """Two of a class in one training differ in what they measure."""
        names = {"along": getattr(self.path, "names", None), "match": getattr(self, "match", None)}
        own = {k: v for k, v in (names | {"net": self.net}).items() if v is not None}
        return self._generate_state_key(**own) if own else super().state_key

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        raise unwritten(self, "measure")

    def check(self, who: Subject) -> None:
        """Before training: raises TypeError or ValueError for options that cannot be in this module."""
        if self.path is not None:
            self.path.of(who)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self._refused(self.check, module)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._begin(trainer, module)
        if trainer.global_step == 0 and self.at_start:
            self._measure_once(trainer, module, at_start=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any
    ) -> None:
        if self.every.due(trainer):
            self._measure_once(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._measure_once(trainer, module)
        flush_arrays(trainer)

    def on_exception(
        self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException
    ) -> None:
        flush_arrays(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        flush_arrays(trainer)  # the arrays are never behind a checkpoint

    def state_dict(self) -> dict[str, Any]:
        own = {"metrics": self.metrics} if self.metrics else {}
        return {"measured_at": self._measured_at} | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._measured_at, self.metrics = state["measured_at"], dict(state.get("metrics", {}))

    def _begin(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the file of arrays where no run folder has one; draw the probe batch while a refusal costs nothing."""
        if trainer.global_step == 0:  # another training may have used this callback
            self._measured_at, self._warned = -1, False
            self.metrics.clear()
        if not any(isinstance(logger, RunRecord) for logger in trainer.loggers):
            begin_arrays(trainer)
        if self.probe is not None:
            self.probe.forget()
            self._refused(lambda who: who.batch(trainer, self.probe), module)

    def _refused(self, check: Any, module: pl.LightningModule) -> None:
        who = subject(module, self)
        try:
            check(who)
        except (TypeError, ValueError) as error:
            raise who.refusal(f"{type(self).__name__}: {error}") from None

    def _measure_once(
        self, trainer: pl.Trainer, module: pl.LightningModule, at_start: bool = False
    ) -> None:
        """Measure at this step, unless that was done (several batches can make one step)."""
        if not trainer.is_global_zero or trainer.global_step == self._measured_at:
            return
        self._measured_at = trainer.global_step
        who = subject(module, self)
        try:
            with cached(), generators_kept():  # each kernel is computed once
                torch.manual_seed(0)
                self.measure(trainer, module)
        except who.outlasted as error:
            if at_start and isinstance(
                error, TypeError | ValueError
            ):  # of options: before training
                raise who.refusal(f"{type(self).__name__}: {error}") from error
            self._report(trainer, who, error)

    def _report(self, trainer: pl.Trainer, who: Subject, error: Exception) -> None:
        name = type(self).__name__
        who.metrics.setdefault(f"failed/{name}", trainer.global_step)
        if not self._warned:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            log.warning("%s at step %d: %s", name, trainer.global_step, reason)
        self._warned = True
