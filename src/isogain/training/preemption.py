"""Signals that announce the end of a job: noted when they come, answered where training can be saved."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Literal

from isogain.config.errors import Preempted
from isogain.record.attempts_jsonl import Attempts

INTERACTIVE = {"bash", "interactive"}  # SLURM's name of a job that a user works in


def requeue_signal() -> signal.Signals:
    """The signal by which SLURM tells submitit of a time-out or a preemption."""
    return signal.Signals["SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")]


def in_a_batch_job() -> bool:
    """Whether SLURM runs this process, and no user waits for it at a prompt."""
    return bool(os.environ.get("SLURM_JOB_ID")) and (
        os.environ.get("SLURM_JOB_NAME") not in INTERACTIVE
    )


class Warnings:
    """While entered, the signals that announce an end are noted instead of obeyed, in the main thread.

    Until `defer` nothing is there to be saved, so one that ends the run does so at once.
    """

    def __init__(self, attempts: Attempts) -> None:
        # in order of urgency: `urgency` is the place, counted from 1
        self.signals = (signal.SIGUSR1, signal.SIGTERM, requeue_signal())
        self.attempts = attempts
        self._noted: set[int] = set()
        self._before: dict[int, Any] = {}
        self._pid, self._deferred = os.getpid(), False

    def __enter__(self) -> "Warnings":
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.getsignal(signum) for signum in self.signals}
        self.install()
        return self

    def __exit__(self, *raised: Any) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def install(self) -> None:
        """Put the handlers in, over any that others have put in since."""
        for signum in self._before:
            signal.signal(signum, self._note)

    def defer(self) -> None:
        """From now on there is something to be saved: signals wait until `urgency` is asked for."""
        self.install()
        self._deferred = True

    def urgency(self) -> int:
        """How urgent the most urgent noted signal is; 0 where there is none."""
        return max((i for i, s in enumerate(self.signals, 1) if s in self._noted), default=0)

    def answered_signal(self, urgency: int) -> signal.Signals:
        """The signal of that urgency, which needs no further answer; nor do less urgent ones."""
        self._noted -= set(self.signals[:urgency])
        return signal.Signals(self.signals[urgency - 1])

    def sequel(self, signum: int) -> Literal["requeue", "train on", "end"]:
        """What follows a save.

        submitit's signal: submitit requeues the job. Else in a job of SLURM: train on until SIGKILL, for SLURM
        requeues what it kills and not what ends by itself. SIGUSR1: train on.
        """
        if signum == requeue_signal() and callable(self._before.get(signum)):
            return "requeue"
        return "train on" if signum == signal.SIGUSR1 or in_a_batch_job() else "end"

    def hand_over(self, signum: int, step: int, frame: FrameType | None = None) -> None:
        """Let submitit requeue the job; raises Preempted, with the reason where submitit refuses."""
        if self.attempts.path.parent.exists():
            self.attempts.preempted(signum, step)
        handler: Callable = self._before[signum]
        try:
            handler(signum, frame)
        except SystemExit as done:
            raise Preempted(signum, requeued=True, code=done.code) from None
        except Exception as refusal:
            raise Preempted(signum) from refusal
        raise Preempted(signum, requeued=True, code=0)  # submitit leaves it to rank zero

    def unanswered_end(self) -> bool:
        """Whether a signal that ends a run came too late to be answered by this one."""
        return any(self.sequel(signum) == "end" for signum in self._noted)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a forked child has inherited the handler: die as it would
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        self._noted.add(signum)
        if self._deferred or self.sequel(signum) == "train on":
            return
        self._noted.discard(signum)
        if self.sequel(signum) == "requeue":
            self.hand_over(signum, 0, frame)
        raise Preempted(signum)
