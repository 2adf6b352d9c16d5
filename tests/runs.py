"""Real runs, small and in this process: the config that the command line would compose, built and run."""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from isogain.config.check import parts
from isogain.data import mnist
from isogain.launch.grid_check import Composed
from isogain.record.run_folder import RunFolder
from isogain.theory import prediction
from isogain.training.preflight import rehearse
from isogain.training.run import run

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
read_idx = cache(mnist.idx_tensor)  # the packaged files, once for all runs of a process
layers = cache(prediction.layers)  # what theory says of one network, likewise


class Crash(pl.Callback):
    """Raises at the end of step `at`, as a bug or a full disk would."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_end(self, trainer, *args) -> None:
        if trainer.global_step == self.at:
            raise RuntimeError("crash")


def whole(overrides: list[str]) -> DictConfig:
    """What Hydra composes, its own part included."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides, return_hydra_config=True)


@cache
def composer() -> Composed:
    """Each choice of groups is composed once, a twentieth of the work; `test_grid` holds the result to be Hydra's."""
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    return Composed(whole, folders | set(whole([]).hydra.runtime.choices))


def composed(*overrides: str) -> DictConfig:
    """The config that these overrides make."""
    return composer()(overrides)


def small_run(out: Path, *overrides: str, extra: dict | None = None) -> dict[str, Any]:
    """`run` with SMALL and `overrides` in the folder `out`, as `launch.job` does it; `extra` callbacks come last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "idx_tensor", read_idx)
        patch.setattr(prediction, "layers", layers)
        return _run(out, (*SMALL, *overrides, f"out={out}"), extra)


def _run(out: Path, overrides: tuple[str, ...], extra: dict | None) -> dict[str, Any]:
    config = composed(*overrides)
    built = parts(config)
    built["callbacks"] |= extra or {}
    step = rehearse(**built)
    RunFolder(out).claim(config, overrides, config.resume, step=step)
    return run(**built)


def metrics(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text())


def checkpoint(out: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(out / "checkpoints" / f"{name}.ckpt", weights_only=True)


def assert_close_metrics(a: Path, b: Path) -> None:
    """The same rows of metrics.csv, up to what the order of sums in float32 makes of them."""
    rows, others = metrics(a), metrics(b)
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    for row, other in zip(rows, others, strict=True):
        numbers = {name: float(value) for name, value in row.items() if value}
        found = {name: float(value) for name, value in other.items() if value}
        assert found == pytest.approx(numbers, rel=1e-3, abs=1e-4)


def assert_same_run(a: Path, b: Path) -> None:
    """Bit for bit the same metrics, spectra, weights, optimiser, sums and place in the data."""
    assert metrics(a) == metrics(b)
    first, second = checkpoint(a), checkpoint(b)
    for said in ("optim", "reg"):
        assert first["isogain"].pop(said) == second["isogain"].pop(said) != ""
    (task,) = {key for key in first if key[0].isupper()}  # the data module, by its class
    for part in ("state_dict", "optimizer_states", "isogain", task, "global_step"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0, equal_nan=True)
    with np.load(a / "spectra.npz") as x, np.load(b / "spectra.npz") as y:
        assert x.files == y.files
        for name in x.files:
            np.testing.assert_array_equal(x[name], y[name])
