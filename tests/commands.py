"""`python train.py ARGUMENTS` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from guards import PATIENCE
from runs import CONF, SMALL

TRAIN = CONF.parent / "train.py"
TINY = (*SMALL, "trainer.accelerator=cpu")


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("HYDRA_FULL_ERROR", "WANDB_MODE")}
    return kept | {"OMP_NUM_THREADS": "1"}


def called(
    cwd: Path, *arguments: str, wrapper: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess:
    command = [sys.executable, *wrapper, str(TRAIN), *arguments]
    env = environment() | variables
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE
    )
