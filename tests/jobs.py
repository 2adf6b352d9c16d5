"""Sweeps on the SLURM of tests/slurm/up: how they are started, asked and waited for."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from guards import PATIENCE
from runs import CONF

import isogain
from isogain.analysis.status import survey

TRAIN = CONF.parent / "train.py"
SUBMITTED = ("cluster=slurm", "hydra.launcher.timeout_min=60", "trainer.accelerator=cpu")


def hazard(**options: float) -> str:
    said = "".join(f", {name}: {value}" for name, value in options.items())
    return f"+callbacks.hazard={{_target_: hazards.Hazard, seed: ${{seed}}{said}}}"


def asked(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()


def started(cwd: Path, *arguments: str) -> subprocess.Popen:
    paths = f"{Path(isogain.__file__).parents[1]}:{Path(__file__).parent}"
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(TRAIN), "-m", *arguments]
    # a script's background ignores Ctrl-C
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, cwd=cwd, env=env, text=True, preexec_fn=heard, **pipes)


def judged(folder: Path) -> survey.Sweep:
    """What `python -m isogain.status` finds out about a sweep."""
    (sweep,) = survey.find(folder)
    survey.judge([sweep])
    return sweep


def states(folder: Path) -> dict[str, str]:
    return {run.name: run.state for run in judged(folder).runs}


def events(run: Path) -> list[dict]:
    path = run / "attempts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


def need_the_lab() -> None:
    """Skip, saying why, where there is no SLURM that is ours to use."""
    if not shutil.which("sbatch"):
        pytest.skip("there is no sbatch: `tests/slurm/up` (as root) installs and starts a SLURM")
    if "is UP" not in asked("scontrol", "ping"):
        pytest.skip("no SLURM answers: `tests/slurm/up` (as root) starts one")
    if "node1" not in asked("sinfo", "--noheader", "--Node", "--format", "%N"):
        pytest.skip(
            "this SLURM is not the one of tests/slurm/up, and its nodes are not ours to use"
        )
