"""Every option of Lightning's Trainer acts on a run, or is refused in a line: none is on record without effect."""

import inspect
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import slow_but
from runs import composed, small_run
from torch import nn

from isogain.config.check import parts
from isogain.config.errors import ConfigError
from isogain.launch import quieten
from isogain.optim import Adam
from isogain.training.lightning_trainer import ACTS, REFUSED, lightning_trainer, refusals
from isogain.training.preflight import rehearse
from isogain.training.trainer_check import _without_effect

OPTIONS = list(inspect.signature(pl.Trainer).parameters)
TINY = (
    *("model.hidden=4", "data=adding", "data.T=6", "data.batches=6", "data.eval_examples=8", "reg=none"),
    *("data.batch_size=4", "data.eval_batch_size=4", "callbacks=minimal", "callbacks.checkpoints=null"),
    *("trainer.accelerator=cpu", "trainer.limit_train_batches=1.0", "trainer.limit_val_batches=1.0"),
    *("trainer.limit_test_batches=1.0", "trainer.max_epochs=2"),
)  # fmt: skip


class Seen(pl.Callback):
    """What a run did; it asks for an early end after the first epoch where `stops`."""

    def __init__(self, stops: bool = False) -> None:
        self.stops, self.train, self.val, self.test, self.validations = stops, 0, 0, 0, 0
        self.logged: list[int] = []

    def on_train_batch_start(self, trainer, learner, batch, i) -> None:
        self.train += 1
        self.anomaly = torch.is_anomaly_enabled()
        self.deterministic = torch.are_deterministic_algorithms_enabled()
        self.benchmark = torch.backends.cudnn.benchmark
        self.dtype, self.device = next(learner.parameters()).dtype, learner.device.type
        self.strategy, self.processes = type(trainer.strategy).__name__, trainer.world_size
        self.most = [getattr(c, "_duration", None) for c in trainer.callbacks]

    def on_before_zero_grad(self, trainer, learner, optimizer) -> None:
        grads = [p.grad.flatten() for p in learner.parameters() if p.grad is not None]
        self.grad = torch.cat(grads) if grads else None

    def on_validation_batch_start(self, *args) -> None:
        self.val += 1

    def on_validation_start(self, *args) -> None:
        self.validations += 1

    def on_test_batch_start(self, *args) -> None:
        self.test += 1
        self.inference = torch.is_inference_mode_enabled()

    def on_train_epoch_end(self, trainer, learner) -> None:
        trainer.should_stop = trainer.should_stop or self.stops


Check = Callable[[Seen, dict[str, Any], str], bool]
# option -> overrides, and what a run with them shows that one without them does not
SHOWN: dict[str, tuple[str, Check]] = {
    "accelerator": ("trainer.accelerator=cpu", lambda seen, *_: seen.device == "cpu"),
    "devices": ("trainer.devices=1", lambda seen, *_: seen.processes == 1),
    "strategy": ("trainer.strategy=ddp", lambda seen, *_: seen.strategy == "DDPStrategy"),
    "precision": ("trainer.precision=64-true", lambda seen, *_: seen.dtype == torch.float64),
    "max_epochs": ("trainer.max_epochs=3", lambda seen, found, _: found["epochs"] == 3),
    "max_steps": ("trainer.max_steps=5", lambda seen, found, _: found["steps"] == 5),
    "min_epochs": ("+trainer.min_epochs=2", lambda seen, found, _: found["epochs"] == 2),
    "min_steps": ("+trainer.min_steps=9", lambda seen, found, _: found["steps"] >= 9),
    "max_time": ("+trainer.max_time=00:07:00:00", lambda seen, *_: 7 * 3600 in seen.most),
    "limit_train_batches": ("trainer.limit_train_batches=0.5", lambda seen, *_: seen.train == 6),
    "limit_val_batches": ("trainer.limit_val_batches=1", lambda seen, *_: seen.val == 2),
    "limit_test_batches": ("trainer.limit_test_batches=1", lambda seen, *_: seen.test == 1),
    "check_val_every_n_epoch": ("trainer.check_val_every_n_epoch=2", lambda seen, *_: seen.val == 2),
    "val_check_interval": ("+trainer.val_check_interval=2", lambda seen, *_: seen.validations == 6),
    "log_every_n_steps": ("trainer.log_every_n_steps=3", lambda _, found, rows: rows.count("\n") == 5),
    "accumulate_grad_batches": (
        "trainer.accumulate_grad_batches=2",
        lambda seen, found, _: found["steps"] == 6,
    ),
    "gradient_clip_algorithm": (
        "+trainer.gradient_clip_algorithm=value optim.grad_clip=1e-3",
        lambda seen, *_: seen.grad.abs().max() <= 1e-3 * (1 + 1e-6) < 2e-3 < seen.grad.norm(),
    ),
    "inference_mode": ("+trainer.inference_mode=false", lambda seen, *_: not seen.inference),
    "deterministic": ("+trainer.deterministic=true", lambda seen, *_: seen.deterministic),
    "benchmark": ("+trainer.benchmark=true", lambda seen, *_: seen.benchmark),
    "detect_anomaly": ("+trainer.detect_anomaly=true", lambda seen, *_: seen.anomaly),
    "profiler": ("+trainer.profiler=simple", lambda *a: "FIT Profiler Report" in a[0].printed),
    "enable_model_summary": (
        "+trainer.enable_model_summary=true",
        lambda *a: "Trainable params" in a[0].printed,
    ),
}  # fmt: skip
ELSEWHERE = {
    "num_nodes",
    "sync_batchnorm",
}  # what one process on one machine cannot show: tests below


@pytest.fixture(autouse=True)
def switches() -> Iterator[None]:
    """torch's own, left as they were; and Lightning as quiet as on the command line."""
    levels = {
        name: logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric")
    }
    quieten()
    yield
    if torch.distributed.is_initialized():  # by strategy=ddp
        torch.distributed.destroy_process_group()
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_trainer_is_known_to_act_or_is_refused(name):
    assert (name in ACTS) != (name in REFUSED)


def test_what_acts_is_an_option_and_is_shown_to_act():
    assert SHOWN.keys() | ELSEWHERE == ACTS <= set(OPTIONS) >= REFUSED.keys()


def shown(out, caplog, *overrides: str, stops: bool = False) -> tuple[Seen, dict[str, Any], str]:
    seen = Seen(stops)
    with caplog.at_level(logging.INFO):
        found = small_run(out, *TINY, *overrides, extra={"seen": seen})
    seen.printed = caplog.text
    caplog.clear()
    return seen, found, (out / "metrics.csv").read_text()


@pytest.fixture(scope="module")
def without() -> dict[bool, tuple[Seen, dict[str, Any], str]]:
    """Runs without any option, by whether they stop after an epoch: one serves all options."""
    return {}


@pytest.mark.parametrize("name", slow_but(SHOWN, *range(0, len(SHOWN), 4)))
def test_an_option_that_acts_does_so_in_a_run(tmp_path, monkeypatch, caplog, without, name):
    monkeypatch.setattr("runs.SMALL", ("logger=csv",))
    overrides, check = SHOWN[name]
    stops = name.startswith("min_")
    if name not in ("accelerator", "devices"):  # one has them in any case
        if stops not in without:
            without[stops] = shown(tmp_path / "without", caplog, stops=stops)
        assert not check(*without[stops])
    assert check(*shown(tmp_path / "with", caplog, *overrides.split(), stops=stops))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_option_that_would_not_act_is_refused_in_a_line_that_says_why(name):
    assert list(refusals({name: object()}, Adam())) == [f"trainer.{name}: {REFUSED[name]}"]


@pytest.mark.parametrize(
    "option", ["gradient_clip_val=1e-9", "fast_dev_run=true", "overfit_batches=2"]
)
def test_what_is_refused_is_refused_before_anything_is_built(option):
    with pytest.raises(ConfigError, match=rf"^trainer\.{option.partition('=')[0]}: \S"):
        rehearse(**parts(composed(*TINY, f"+trainer.{option}", "out=run", "logger=csv")))


def test_what_a_run_sets_itself_cannot_be_set():
    ours = lightning_trainer(partial(dict), {}, Adam(), "out")
    assert ours.keys() - {"enable_model_summary"} <= REFUSED.keys()


def test_an_option_that_a_newer_lightning_has_is_refused_until_it_is_known():
    assert list(refusals({"brand_new": 1}, Adam())) == [
        "trainer.brand_new: is not known to act on a run"
    ]


def test_the_value_that_a_run_has_anyway_may_be_said():
    assert list(refusals({"num_sanity_val_steps": 0}, Adam())) == []


def test_a_way_to_clip_needs_something_to_clip_at():
    option = {"gradient_clip_algorithm": "value"}
    assert list(refusals(option, Adam(grad_clip=1.0))) == []
    assert list(refusals(option, Adam())) == [
        "trainer.gradient_clip_algorithm: has no effect without optim.grad_clip"
    ]


def test_batch_normalisation_is_synchronised_only_where_there_is_any():
    fitter, option = (
        pl.Trainer(accelerator="cpu", logger=False, barebones=True),
        {"sync_batchnorm": True},
    )
    assert list(_without_effect(option, fitter, nn.Sequential(nn.BatchNorm1d(3)))) == []
    assert len(list(_without_effect(option, fitter, nn.Linear(3, 3)))) == 1


def test_several_nodes_and_devices_make_as_many_processes(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    options = {"accelerator": "cpu", "devices": 2, "num_nodes": 3, "strategy": "ddp"}
    assert lightning_trainer(partial(pl.Trainer, **options), {}, Adam(), "out").world_size == 6


def test_two_progress_bars_are_refused_and_one_is_the_only_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("runs.SMALL", ("logger=csv",))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    bar = "+callbacks.%s={_target_:pytorch_lightning.callbacks.TQDMProgressBar}"
    found = small_run(tmp_path / "run", *TINY, bar % "mine")
    assert found["status"] == "finished" and "step/s" not in capsys.readouterr().err
    with pytest.raises(ConfigError, match="multiple progress bar"):
        rehearse(**parts(composed(*TINY, bar % "mine", bar % "yours", "out=run", "logger=csv")))
