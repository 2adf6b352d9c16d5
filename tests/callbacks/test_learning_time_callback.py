"""The steps a network needs are those at which its record first shows the value."""

import pytest
import torch
from runs import metrics
from toys import Toy, fitted, learner

from isogain.callbacks.learning_time import LearningTime
from isogain.optim import SGD

LEARNS = SGD(lr=0.5, schedule="constant")
EVERY = 2  # steps between two readings of the training loss


def trained(out, *callbacks, **options):
    torch.manual_seed(0)  # `losses` is made before the test has its seed
    options = {"max_epochs": 8, "log_every_n_steps": EVERY} | options
    return fitted(out, callbacks, Toy(), learner(optim=LEARNS), **options)


def times(model) -> dict[str, int]:
    return {k: v for k, v in model.metrics.items() if k.startswith("steps_to/")}


def first(out, metric: str, good) -> int:
    return next(int(r["step"]) for r in metrics(out) if r[metric] and good(float(r[metric])))


@pytest.fixture(scope="module")
def losses(tmp_path_factory) -> dict[str, list[float]]:
    """What metrics.csv holds of a training that nothing watches."""
    out = tmp_path_factory.mktemp("unwatched")
    trained(out)
    names = ("train/loss", "val/loss", "train/acc", "val/acc")
    return {k: [float(r[k]) for r in metrics(out) if r[k]] for k in names}


@pytest.mark.parametrize("metric", ["train/loss", "val/loss"])
def test_a_loss_is_reached_at_the_first_row_at_or_below_the_value(tmp_path, losses, metric):
    at = sorted(losses[metric])[len(losses[metric]) // 2]  # a value of the record, so equality too
    found = times(trained(tmp_path, LearningTime(metric, [at])))
    assert found == {f"steps_to/{metric}/{at:g}": first(tmp_path, metric, lambda v: v <= at)}


@pytest.mark.parametrize("metric", ["train/acc", "val/acc"])
def test_an_accuracy_is_reached_at_the_first_row_at_or_above_the_value(tmp_path, losses, metric):
    at = max(losses[metric])
    found = times(trained(tmp_path, LearningTime(metric, [at])))
    assert found == {f"steps_to/{metric}/{at:g}": first(tmp_path, metric, lambda v: v >= at)}


def test_a_value_that_is_never_reached_has_no_time(tmp_path):
    assert times(trained(tmp_path, LearningTime("train/loss", [1e-9]))) == {}


def test_stop_ends_the_training_once_all_values_are_reached_and_not_before(tmp_path, losses):
    two = [losses["train/loss"][1], losses["train/loss"][3]]
    whole = trained(tmp_path / "whole", LearningTime("train/loss", two))
    short = trained(tmp_path / "short", LearningTime("train/loss", two, stop=True))
    assert times(short) == times(whole) and len(times(short)) == 2
    last = max(times(short).values())
    assert last <= int(metrics(tmp_path / "short")[-1]["step"]) <= last + 3
    assert int(metrics(tmp_path / "whole")[-1]["step"]) == 24


def test_without_a_value_it_does_nothing(tmp_path):
    model = trained(tmp_path, LearningTime())
    assert times(model) == {} and model.global_step == 24


def test_a_negative_value_is_refused():
    with pytest.raises(ValueError, match="^at must be a finite number >= 0, got -1"):
        LearningTime(at=[1.0, -1.0])


def test_stop_without_a_value_is_refused():
    with pytest.raises(ValueError, match="^stop: has no effect without a value in at$"):
        LearningTime(stop=True)
