"""Saving when a signal announces the end of the job, and what follows."""

import logging
import signal
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from isogain.callbacks.checkpointing import Checkpoints, at_its_end, resumable
from isogain.config.errors import Preempted
from isogain.record.rank import agreed
from isogain.training.learner import Learner
from isogain.training.preemption import Warnings

log = logging.getLogger(__name__)
SEQUELS = {
    "requeue": "submitit requeues the job",
    "train on": "training goes on",
    "end": "the run ends",
}


class SaveOnWarning(Checkpoint):
    """Answers the signals that `warnings` has noted, at the first moment from which a run resumes bitwise.

    That is the end of a step, or of the epoch where a validation comes first, or of a test batch, before
    which all is saved. All processes that train together answer at the same step.
    """

    def __init__(self, warnings: Warnings) -> None:
        self.warnings = warnings
        self.saver = Checkpoints(minutes=None)

    def setup(self, trainer: pl.Trainer, learner: Learner, stage: str) -> None:
        savers = [c for c in trainer.checkpoint_callbacks if isinstance(c, Checkpoints)]
        self.saver = savers[0] if savers else self.saver

    def on_train_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._take_over(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, learner: Learner, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if resumable(trainer, batch_idx):
            self._answer(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        if not at_its_end(trainer):
            self._answer(trainer)

    def on_test_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        self._take_over(trainer)

    def on_test_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.world_size == 1:  # of several, one can have a batch more than the others
            self._answer(trainer, save=False)

    def _take_over(self, trainer: pl.Trainer) -> None:
        """Lightning has put in its own handler, by which SIGTERM ends a run as if it were finished."""
        self.warnings.defer()
        trainer._signal_connector.received_sigterm = False  # of the moment between the two

    def _answer(self, trainer: pl.Trainer, save: bool = True) -> None:
        urgency = agreed(trainer, self.warnings.urgency())
        if not urgency:
            return
        signum, step = self.warnings.answered_signal(urgency), trainer.global_step
        if save and step != self.saver.saved_at:
            self.saver.save(trainer)
        sequel = self.warnings.sequel(signum)
        log.warning("%s at step %d: saved; %s", signum.name, step, SEQUELS[sequel])
        if sequel == "requeue":
            self.warnings.hand_over(signum, step)
        if sequel == "end":
            raise Preempted(signum)
        if signum != signal.SIGUSR1:
            self.warnings.attempts.preempted(signum, step)
