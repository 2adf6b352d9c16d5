"""A grid is checked as if each of its points had been composed and rehearsed by itself."""

from itertools import product

import pytest
from hydra import compose, initialize_config_dir
from runs import CONF

from isogain.launch.grid_check import Composed, refusals

GROUPS = {"model", "init", "reg", "data", "optim", "callbacks", "logger", "cluster"}


def whole(overrides: list[str]):
    return compose("train", overrides, return_hydra_config=True)


@pytest.fixture(autouse=True)
def conf():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def found(*points: tuple[str, ...], here: bool = True, **options) -> list[tuple[int, str]]:
    refused = refusals(points, whole, GROUPS, here, **options)
    return [(number, str(error)) for number, error in refused]


@pytest.mark.parametrize(
    "overrides",
    [
        ("init.gain=1.1", "model.depth=3"),
        ("model=lstm", "model.forget_bias=2", "reg=none"),
        ("+model.extra=1", "seed=3", "model.extra=2"),
        ("data=copy", "data.T=7", "++trainer.max_time=null"),
        ("callbacks.weights.every=5", "~callbacks.weights", "seed=3"),
    ],
)
def test_a_point_composed_from_its_groups_is_what_hydra_composes(overrides):
    expected = compose("train", list(overrides))
    assert Composed(whole, GROUPS)(overrides) == expected


def test_points_do_not_leak_into_each_other():
    composed = Composed(whole, GROUPS)
    assert composed(("init.gain=2",)).init.gain == 2
    assert composed(()).init.gain == compose("train").init.gain


def test_each_bad_point_is_named_and_no_good_one():
    points = list(product(("model.depth=1", "model.depth=0"), ("seed=0", "seed=-1")))
    said = found(*points)
    assert [number for number, _ in said] == [1, 2, 3]
    assert "seed" in said[0][1] and "model.depth" in said[1][1]


def test_parts_that_do_not_fit_together_are_found():
    ((number, said),) = found(("data=mnist",), ("model=mlp", "data=mnist"))
    assert number == 0 and said.startswith("model=rnn reads a sequence and MNIST is flat")


@pytest.mark.parametrize("key", ["model.dept=2", "reg=gian"])
def test_a_name_that_does_not_exist_is_an_error_of_its_point(key):
    assert [number for number, _ in found((), (key,))] == [1]


def test_what_this_machine_has_counts_only_for_points_that_run_on_it():
    gpus = ("trainer.accelerator=gpu", "trainer.devices=99")
    assert found(gpus) and not found(gpus, here=False)


def test_points_that_share_a_process_cannot_have_several():
    points = [("trainer.accelerator=cpu", f"trainer.devices={n}") for n in (1, 2)]
    assert not found(*points)
    ((number, said),) = found(*points, shared=True)
    assert number == 1 and "cluster=local hydra.launcher.jobs=1" in said


def test_points_of_the_same_choices_are_composed_once_however_many_there_are():
    """Each composition by Hydra takes some 70 ms; a point of a grid takes some 13."""
    composed = []
    depths, gains = (1, 2, 3, 4), [f"init.gain={1 + g / 10}" for g in range(5)]
    points = [(f"model.depth={d}", gain) for d in depths for gain in gains]

    def counted(overrides: list[str]):
        composed.append(overrides)
        return whole(overrides)

    assert list(refusals(points, counted, GROUPS, True)) == []
    assert len(composed) == 1
