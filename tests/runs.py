"""Real runs, small and in this process: the config that the command line would compose, built and run."""

import csv
import json
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from isogain.config import parts
from isogain.folder import RunFolder
from isogain.rehearsal import rehearse
from isogain.run import run

CONF = Path(__file__).parents[1] / "conf"
SMALL = (
    "model.hidden=8",
    "data.batch_size=32",
    "trainer.limit_train_batches=6",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.log_every_n_steps=4",
    "trainer.max_epochs=3",
    "callbacks.gap.every=5",
    "callbacks.weights.every=5",
    "callbacks.gradients.every=5",
    "callbacks.jacobian.every=7",
    "callbacks.jacobian.examples=2",
    "logger=csv",
)


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides))


def small_run(out: Path, *overrides: str, extra: dict | None = None) -> dict[str, Any]:
    """`run` with SMALL and `overrides` in the folder `out`, as `launch.job` does it; `extra` callbacks come last."""
    overrides = (*SMALL, *overrides, f"out={out}")
    config = composed(*overrides)
    built = parts(config)
    built["callbacks"] |= extra or {}
    rehearse(**built)
    RunFolder(out).claim(config, overrides, config.resume)
    return run(**built)


def metrics(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


def checkpoint(out: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(out / "checkpoints" / f"{name}.ckpt", weights_only=True)
