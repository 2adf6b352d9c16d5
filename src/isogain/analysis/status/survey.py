"""The sweeps under a folder, and what has become of each of their runs."""

import time

from isogain.analysis.status.pending import expect
from isogain.analysis.status.states import state_of
from isogain.analysis.status.sweeps import Run, Sweep, find
from isogain.record import processes
from isogain.record.run_status import Status

__all__ = ["Run", "Sweep", "find", "judge"]


def judge(sweeps: list[Sweep], lost_after: float | None = None) -> None:
    """Set status and reason of every run; SLURM is asked once for all.

    A run of which nothing can be known counts as lost when it has been silent for `lost_after` minutes.
    """
    queue = processes.queue(job for sweep in sweeps for job in sweep.jobs())
    for sweep in sweeps:
        for run in sweep.runs:
            run.status, run.reason = state_of(run.record, queue)
            silent = time.time() - (run.record.sign_of_life or 0)
            if run.status is Status.UNKNOWN and lost_after is not None and silent > 60 * lost_after:
                run.status = Status.LOST
        expect(sweep, queue)
