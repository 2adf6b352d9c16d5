"""Waiting for submitit's jobs in SLURM's queue, and what each of them returned."""

import getpass
import logging
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

log = logging.getLogger(__name__)
FAR = 10.0  # seconds between two looks at a queue that has been slow to change
LATE = 10.0  # seconds that a result may take from a node's file system to ours


def queued() -> set[str] | None:
    """The ids of this user's jobs that SLURM has not done with, of arrays a job each; None where it does not answer."""
    command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return {line.strip() for line in answer.stdout.splitlines()}


def wait(jobs: Sequence[Any]) -> list[JobReturn]:
    """What every job returned, once all have ended; FAILED for one that SLURM has done with and that left nothing.

    Asks squeue, which knows of a death at once, and also where there is no accounting.
    """
    returns: dict[int, JobReturn] = {}
    gone: dict[int, float] = {}  # by job, since when the queue has not known it
    pause, reported = 1.0, 0
    while len(returns) < len(jobs):
        time.sleep(pause)
        queue, now = queued(), time.monotonic()
        for n, job in enumerate(jobs):
            if n in returns:
                continue
            if job.task(0).paths.result_pickle.exists():
                returns[n] = _loaded(job.task(0).paths.result_pickle)
            elif queue is not None and job.job_id not in queue:
                if now - gone.setdefault(n, now) > LATE:
                    returns[n] = _failed("the job left no result")
            else:
                gone.pop(n, None)
        pause = 1.0 if len(returns) > reported else min(FAR, 1.3 * pause)
        if len(returns) > reported:
            reported = len(returns)
            waiting = "" if queue is None else f", {len(jobs) - reported} to go"
            log.info("%d of %d points have ended%s", reported, len(jobs), waiting)
    return [returns[n] for n in range(len(jobs))]


def _loaded(path: Path) -> JobReturn:
    """The result that submitit pickled on the node."""
    from submitit.core.utils import pickle_load

    try:
        outcome, result = pickle_load(path)
    except Exception as error:  # whatever unpickling a foreign exception raises
        return _failed(f"{path} cannot be read: {error}")
    return result if outcome == "success" else _failed(str(result).strip().splitlines()[-1])


def _failed(why: str) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED, _return_value=RuntimeError(why))
