"""The same command gives the same numbers, bit for bit, however often it is cut off on the way."""

from itertools import product
from pathlib import Path

import pytest
import pytorch_lightning as pl
from cases import one_of_each_kind, slow_but
from runs import CONF, Crash, assert_same_run, checkpoint, metrics, small_run

STEPS = 18  # three epochs of six
REGS = sorted(path.stem for path in (CONF / "reg").glob("*.yaml"))
LEARNED = ["manifold reg.gain=learned", "oblique reg.gain=learned"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    small_run(out)
    return out


def test_the_same_command_and_seed_give_bitwise_the_same_run(whole, tmp_path):
    small_run(tmp_path / "again")
    assert_same_run(whole, tmp_path / "again")


def test_another_seed_gives_another_run(whole, tmp_path):
    small_run(tmp_path / "other", "seed=1")
    assert metrics(whole) != metrics(tmp_path / "other")


@pytest.mark.parametrize(
    ("every", "at"), slow_but(product(["null", "4", "6", "1"], [3, 6, 9, 12, 13, 17]), 4, 8, 12)
)
def test_a_resumed_run_ends_bitwise_where_the_uninterrupted_one_ends(whole, tmp_path, every, at):
    out = tmp_path / "cut"
    option = f"callbacks.checkpoints.every={every}"
    with pytest.raises(RuntimeError, match="crash"):
        small_run(out, option, extra={"crash": Crash(at)})
    small_run(out, option, "resume=true")
    assert_same_run(whole, out)


@pytest.mark.parametrize(
    "reg", [*one_of_each_kind(REGS, ("gain", "manifold", "exp")), *slow_but(LEARNED)]
)
def test_every_reg_goes_on_bitwise_where_it_was_cut_off(tmp_path, reg):
    """Cut in the second epoch, a step after a checkpoint that lies within it."""
    options = (
        *f"reg={reg}".split(),
        "trainer.max_epochs=2",
        "callbacks.checkpoints.every=4",
        "init.gain=1.1",
    )
    small_run(tmp_path / "whole", *options)
    with pytest.raises(RuntimeError, match="crash"):
        small_run(tmp_path / "cut", *options, extra={"crash": Crash(9)})
    assert checkpoint(tmp_path / "cut")["global_step"] == 8
    small_run(tmp_path / "cut", *options, "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize(("steps", "at"), slow_but(product([15, 18], [3, 9, 13]), 2))
def test_a_run_that_ends_by_its_steps_resumes_bitwise_too(tmp_path, steps, at):
    """Lightning takes an epoch that is over for one to go on with where there is a limit in steps."""
    limits = (f"trainer.max_steps={steps}",)
    small_run(tmp_path / "whole", *limits)
    with pytest.raises(RuntimeError, match="crash"):
        small_run(tmp_path / "cut", *limits, extra={"crash": Crash(at)})
    small_run(tmp_path / "cut", *limits, "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


class Rates(pl.Callback):
    """The learning rate of every step."""

    def __init__(self) -> None:
        self.of: dict[int, float] = {}

    def on_train_batch_start(self, trainer, *args) -> None:
        self.of[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]


@pytest.mark.parametrize("schedule", slow_but(["cosine", "linear", "constant"], 0))
def test_a_run_that_is_asked_for_more_has_the_rates_of_the_new_length(tmp_path, schedule):
    option, whole, longer = f"optim.schedule={schedule}", Rates(), Rates()
    small_run(tmp_path / "whole", option, "trainer.max_epochs=3", extra={"rates": whole})
    small_run(tmp_path / "run", option, "trainer.max_epochs=1")
    more = ("trainer.max_epochs=3", "resume=true")
    small_run(tmp_path / "run", option, *more, extra={"rates": longer})
    assert longer.of == {step: rate for step, rate in whole.of.items() if step >= 6}
