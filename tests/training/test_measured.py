"""A number in a summary was measured in this run, on the weights that it is said of."""

import math
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from cases import slow_but
from runs import Crash, assert_same_run, checkpoint, composed, metrics, small_run, summary

from isogain.callbacks.base import Diagnostic
from isogain.config.check import parts

FEW = ("trainer.limit_val_batches=2", "optim.lr=0.01")  # an epoch has six steps
OF_THE_WEIGHTS = ("gap/final", "gain", "jacobian/log_max", "signal_grad/log_ratio", "val/acc")
pytestmark = pytest.mark.usefixtures("mnist_read_once")


def column(out: Path, name: str) -> dict[int, float]:
    """Step -> value, of the rows that have one."""
    return {int(row["step"]): float(row[name]) for row in metrics(out) if row.get(name)}


def validated(out: Path, name: str) -> float:
    """The validation accuracy of the weights in a checkpoint, by hand."""
    config = composed("model.hidden=8", "data.batch_size=32", "out=x")
    built = parts(config)
    data = built["data"]
    data.load("cpu")
    net = built["model"](**data.sizes())
    weights = checkpoint(out, name)["state_dict"]
    net.load_state_dict({k.removeprefix("net."): w for k, w in weights.items() if k[:4] == "net."})
    batches = [batch for batch, _ in zip(data.val_dataloader(), range(2), strict=False)]
    with torch.no_grad():
        right = [(net(x).argmax(-1) == y).double() for x, y in batches]
    return torch.cat(right).mean().item()


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("parent") / "run"
    small_run(out, *FEW, "trainer.max_epochs=2", "callbacks.learning_time.at=[9]")
    return out


@pytest.mark.parametrize("limit", ["trainer.max_steps=8", "trainer.max_steps=15"])
def test_a_run_that_ends_within_an_epoch_is_validated_on_its_last_weights(tmp_path, limit):
    out = tmp_path / "run"
    found, last = small_run(out, *FEW, limit), int(limit.rpartition("=")[2])
    assert found["val/acc"] == column(out, "val/acc")[last] == validated(out, "last")
    assert found["epochs"] == last // 6 and found["steps"] == last
    assert list(column(out, "val/acc")) == [*range(6, last, 6), last]


def test_a_run_whose_last_epoch_has_no_validation_has_one_at_its_end(tmp_path):
    found = small_run(tmp_path / "run", *FEW, "trainer.check_val_every_n_epoch=2")
    assert list(column(tmp_path / "run", "val/acc")) == [12, 18]
    assert found["val/acc"] == validated(tmp_path / "run", "last") and found["epochs"] == 3


def test_without_validation_there_is_no_number_of_it_and_the_table_says_so(tmp_path, caplog):
    with caplog.at_level("INFO", "isogain"):
        found = small_run(tmp_path / "run", "trainer.limit_val_batches=0", "trainer.max_steps=3")
    assert not [name for name in found if name.startswith("val/") or "best" in name]
    assert any("validation         none" in r.getMessage() for r in caplog.records)


def test_the_line_of_an_epoch_says_of_which_step_a_number_is_that_is_not_of_its_end(
    tmp_path, caplog
):
    options = ("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3")
    with caplog.at_level("INFO", "isogain"):
        small_run(tmp_path / "run", *FEW, *options)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch ")]
    assert ["val/" in line for line in lines] == [False, True, True]
    assert ["(step 12)" in line for line in lines] == [False, False, True]


@pytest.mark.parametrize("interval", slow_but(["2", "0.5", "4"], 2))
def test_the_best_is_the_best_of_all_validations(tmp_path, interval):
    out = tmp_path / "run"
    found = small_run(out, *FEW, f"+trainer.val_check_interval={interval}")
    scores = column(out, "val/acc")
    assert len(scores) > 3
    best = min(step for step, score in scores.items() if score == max(scores.values()))
    assert (found["val/acc_best"], found["step_best"]) == (scores[best], best)
    assert found["epoch_best"] == (best - 1) // 6
    assert checkpoint(out, "best")["global_step"] == best
    assert validated(out, "best") == scores[best]
    assert found["val/acc"] == scores[18] if 18 in scores else validated(out, "last")


@pytest.mark.parametrize("at", slow_but([3, 5, 9, 15], 2))
def test_a_run_with_several_validations_an_epoch_resumes_bitwise(tmp_path, at):
    options = (*FEW, "+trainer.val_check_interval=2")
    small_run(tmp_path / "whole", *options)
    with pytest.raises(RuntimeError, match="crash"):
        small_run(tmp_path / "cut", *options, extra={"crash": Crash(at)})
    small_run(tmp_path / "cut", *options, "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    names = ("val/acc", "val/acc_best", "epoch_best", "step_best", "epochs", "steps", "gap/worst")
    cut, whole = summary(tmp_path / "cut"), summary(tmp_path / "whole")
    assert {name: cut[name] for name in names} == {name: whole[name] for name in names}


def test_a_run_from_a_checkpoint_has_nothing_that_its_parent_measured(parent, tmp_path):
    start = parent / "checkpoints" / "last.ckpt"
    out = tmp_path / "run"
    found = small_run_without(
        out, *FEW, "callbacks=minimal", "trainer.max_steps=14", f"ckpt={start}"
    )
    assert not [k for k in found if k.startswith(("jacobian/", "gap/", "theory/", "signal_grad/"))]
    assert not [k for k in found if k.startswith(("failed/", "steps_to/"))]
    assert found["val/acc"] == found["val/acc_best"] == column(out, "val/acc")[14]
    assert (found["epoch_best"], found["step_best"]) == (2, 14)
    assert checkpoint(out, "best")["global_step"] == 14


def small_run_without(out: Path, *overrides: str) -> dict:
    """`small_run` where the callbacks that SMALL sets options of may be missing."""
    import runs

    with pytest.MonkeyPatch.context() as patch:
        small = [o for o in runs.SMALL if not o.startswith("callbacks.")]
        patch.setattr(runs, "SMALL", tuple(small))
        return small_run(out, *overrides)


def test_the_losses_of_a_run_from_a_checkpoint_are_of_its_own_steps(tmp_path):
    """The parent stopped between two readings of the sums."""
    options = ("trainer.log_every_n_steps=100", "optim.schedule=constant")
    with pytest.raises(RuntimeError, match="crash"):
        every = "callbacks.checkpoints.every=3"
        small_run(tmp_path / "parent", *options, every, extra={"crash": Crash(4)})
    start = tmp_path / "parent" / "checkpoints" / "last.ckpt"
    assert checkpoint(tmp_path / "parent")["global_step"] == 3
    assert checkpoint(tmp_path / "parent")["isogain"]["tally"].sum() > 0
    losses = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, learner, outputs, batch, batch_idx) -> None:
            losses.append(float(outputs["loss"]))

    one = (*options, "reg=none", f"ckpt={start}", "trainer.max_steps=5")
    found = small_run(tmp_path / "child", *one, extra={"watch": Watch()})
    assert len(losses) == 2 and found["train/loss"] == pytest.approx(np.mean(losses), rel=1e-6)


class Patience(pl.Callback):
    """Remembers, as EarlyStopping does."""

    def __init__(self) -> None:
        self.seen = 0

    def on_train_epoch_end(self, trainer, learner) -> None:
        self.seen += 1

    def state_dict(self) -> dict:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict) -> None:
        self.seen = state["seen"]


def test_callbacks_begin_afresh_from_a_checkpoint_and_go_on_where_a_run_is_resumed(tmp_path):
    small_run(tmp_path / "run", "trainer.max_epochs=2", extra={"patience": Patience()})
    start = tmp_path / "run" / "checkpoints" / "last.ckpt"
    anew, resumed = Patience(), Patience()
    small_run(tmp_path / "new", "trainer.max_epochs=3", f"ckpt={start}", extra={"p": anew})
    small_run(tmp_path / "run", "trainer.max_epochs=3", "resume=true", extra={"p": resumed})
    assert (anew.seen, resumed.seen) == (1, 3)


class FailsAtTheEnd(Diagnostic):
    """Measures before training and cannot afterwards."""

    def __init__(self) -> None:
        super().__init__(every=4)

    def measure(self, trainer, learner) -> None:
        if trainer.global_step == 18:
            raise torch.linalg.LinAlgError("no")
        learner.keep({"mine/value": float(trainer.global_step)})


def test_what_could_not_be_measured_at_the_end_is_not_that_of_an_earlier_step(tmp_path):
    found = small_run(tmp_path / "run", extra={"fails": FailsAtTheEnd()})
    assert found["failed/FailsAtTheEnd"] == 18 and "mine/value" not in found


@pytest.mark.parametrize("end", ["crash", "divergence"])
def test_a_run_that_ends_otherwise_has_no_number_of_earlier_weights(tmp_path, end):
    """A row of every 5th or 7th step, a validation at 6; it ends after step 8."""

    class Ends(pl.Callback):
        def on_train_batch_end(self, trainer, learner, *args) -> None:
            if trainer.global_step == 8 and end == "crash":
                raise RuntimeError("crash")
            if trainer.global_step == 8:
                learner.net.recurrent.data.fill_(math.nan)

    if end == "crash":
        with pytest.raises(RuntimeError, match="crash"):
            small_run(tmp_path / "run", extra={"ends": Ends()})
    else:
        assert small_run(tmp_path / "run", extra={"ends": Ends()})["status"] == "diverged"
    found = summary(tmp_path / "run")
    assert found["steps"] in (8, 9) and found["epochs"] == 1
    assert not found.keys() & set(OF_THE_WEIGHTS)
    assert (
        found["step_best"] == 6 and found["val/acc_best"] == column(tmp_path / "run", "val/acc")[6]
    )
    assert found["gap/worst"] >= 0 and "jacobian/at_start/log_max" in found


def test_of_a_run_in_several_attempts_seconds_are_those_of_all(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(RuntimeError, match="crash"):
        small_run(out, extra={"crash": Crash(8)})
    first = summary(out)["seconds"]
    found = small_run(out, "resume=true")
    assert found["seconds"] > first > 0 and (found["epochs"], found["steps"]) == (3, 18)
