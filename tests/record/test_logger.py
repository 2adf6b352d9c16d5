"""One call logs an event everywhere: to the run's folder and to any logger of Lightning's."""

import csv
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor
from runs import small_run

from isogain.record.logger import RunRecord, Spectrum, record

SMALLER = ("data=adding", "data.T=4", "trainer.log_every_n_steps=1", "trainer.max_epochs=2")
EDGES = np.linspace(0, 1, 5)


class Plain:
    """A logger that knows scalars only, as Lightning's own do."""

    def __init__(self) -> None:
        self.seen = []

    def log_metrics(self, metrics: dict, step: int) -> None:
        self.seen.append((dict(metrics), step))


def trainer(*loggers, step: int = 5, epoch: int = 1) -> SimpleNamespace:
    return SimpleNamespace(loggers=loggers, global_step=step, current_epoch=epoch)


def rows(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_event_goes_to_every_logger_under_the_steps_done_and_the_epoch(tmp_path):
    folder, plain = RunRecord(tmp_path), Plain()
    record(trainer(folder, plain), {"a": 0.5}, {"s": Spectrum(np.arange(3.0), EDGES)})
    folder.flush()
    assert rows(tmp_path) == [{"step": "5", "epoch": "1", "a": "0.5"}]
    assert plain.seen == [({"epoch": 1, "a": 0.5}, 5)]
    with np.load(tmp_path / "spectra.npz") as arrays:
        assert arrays["s"].tolist() == [[0, 1, 2]] and arrays["s/step"].tolist() == [5]


def test_nothing_is_said_to_no_logger():
    record(trainer(), {"a": 1.0})


def test_what_lightning_logs_shares_the_row_of_its_step(tmp_path):
    folder = RunRecord(tmp_path)
    record(trainer(folder), {"a": 1.0})
    folder.log_metrics({"lr": np.float32(0.5)}, np.int64(5))
    folder.finalize("success")
    assert rows(tmp_path) == [{"step": "5", "epoch": "1", "a": "1.0", "lr": "0.5"}]


def test_hyperparameters_are_left_to_the_config(tmp_path):
    RunRecord(tmp_path).log_hyperparams({"a": 1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", [0, 5, 9])
def test_rewind_forgets_later_rows_and_spectra_alike(tmp_path, step):
    folder = RunRecord(tmp_path)
    for at in (0, 5, 9):
        record(trainer(folder, step=at), {"a": 1.0}, {"s": Spectrum(np.ones(2), EDGES)})
    folder.flush()
    again = RunRecord(tmp_path)
    again.rewind(step)
    again.flush()
    steps = [int(row["step"]) for row in rows(tmp_path)]
    with np.load(tmp_path / "spectra.npz") as arrays:
        assert arrays["s/step"].tolist() == steps == [s for s in (0, 5, 9) if s <= step]


class Talkative(pl.Callback):
    """What users log: by `self.log`, and by the logger at the present step, the one before and none."""

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *a: Any) -> None:
        done = float(trainer.global_step)
        module.log("user/step", done)
        module.log("user/forked", done, on_step=True, on_epoch=True)
        trainer.logger.log_metrics({"user/before": done - 1}, step=trainer.global_step - 1)
        trainer.logger.log_metrics({"user/unnumbered": torch.tensor(done), "user/nan": math.nan})

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.log("user/val", float(trainer.global_step))

    def on_test_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.log("user/test", float(trainer.global_step))


class Crash(pl.Callback):
    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == 5:
            raise ZeroDivisionError


@pytest.mark.parametrize("cut", [False, True], ids=["at once", "resumed"])
def test_whoever_logs_finds_it_in_the_row_of_the_steps_done_and_no_row_of_ours_is_lost(
    tmp_path, cut
):
    """Lightning calls its loggers before it counts the step: its number is one less than ours."""
    small_run(tmp_path / "plain", *SMALLER)
    options = (*SMALLER, "callbacks.checkpoints.every=3")
    users = lambda: {"user": Talkative(), "lr": LearningRateMonitor()}  # noqa: E731
    if cut:
        with pytest.raises(ZeroDivisionError):
            small_run(tmp_path / "users", *options, extra=users() | {"crash": Crash()})
    small_run(tmp_path / "users", *options, f"resume={cut}", extra=users())
    plain, found = rows(tmp_path / "plain"), rows(tmp_path / "users")
    assert [{name: row[name] for name in plain[0]} for row in found] == plain
    assert [int(row["step"]) for row in found] == list(range(13))
    for row in found[1:]:
        assert row["user/step"] == row["user/forked_step"] == row["user/unnumbered"]
        assert float(row["user/step"]) == float(row["step"]) and row["user/nan"] == "nan"
    assert [row["user/before"] for row in found] == [*(f"{n}.0" for n in range(12)), ""]
    for name in ("user/val", "user/forked_epoch"):
        assert [row["step"] for row in found if row[name]] == ["6", "12"]
    assert [row["step"] for row in found if row["user/test"]] == ["12"]
    assert [row["step"] for row in found if row["lr-MatrixAdam/pg1"]] == [str(n) for n in range(12)]
