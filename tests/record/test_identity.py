"""Which of two configs may go on with what the other began, and when nothing is left to do."""

import copy
import math
from typing import Any

import pytest
import pytorch_lightning as pl
from cases import slow_but
from omegaconf import OmegaConf
from runs import CONF, composed

from isogain.record.config_difference import walk
from isogain.record.identity import (
    EXAMPLES,
    LIMITS,
    MAY_DIFFER,
    beyond,
    differences,
    is_over,
    schedules,
)


class Watches(pl.Callback):
    """A user's own, which says so."""

    only_observes = True


class Acts(pl.Callback):
    """A user's own, which says nothing."""


def config(*overrides: str) -> dict[str, Any]:
    return OmegaConf.to_container(composed(*overrides), resolve=True)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return config()


def keys(found: list) -> set[str]:
    return {difference.key for difference in found}


def options(node: dict[str, Any], path: str = "") -> list[str]:
    """Every dotted key of a value."""
    inner = [(f"{path}{key}", child) for key, child in node.items()]
    below = [
        k for key, child in inner if isinstance(child, dict) for k in options(child, f"{key}.")
    ]
    return [*below, *(key for key, child in inner if not isinstance(child, dict))]


def changed(node: dict[str, Any], key: str) -> dict[str, Any]:
    other = copy.deepcopy(node)
    *parents, name = key.split(".")
    inner = other
    for parent in parents:
        inner = inner[parent]
    inner[name] = "another" if isinstance(inner[name], str) else ("another", inner[name])
    return other


def test_a_config_may_go_on_with_itself_and_differs_in_nothing(plain):
    assert not any(differences(plain, copy.deepcopy(plain)))


def test_whatever_option_is_changed_it_is_a_conflict_unless_a_list_says_that_it_may_differ(plain):
    for key in options(plain):
        group, found = key.partition(".")[0], differences(plain, changed(plain, key))
        allowed = {key, group} & (MAY_DIFFER | LIMITS | {"out", "resume", "callbacks"})
        # one of ours that becomes somebody else's, or may end the training
        if allowed and not (group == "callbacks" and key.endswith(("._target_", ".stop"))):
            assert not found.conflicts, key
            assert keys([*found.limits, *found.others]) == ({key} - {"out", "resume"})
        else:
            assert keys(found.conflicts) == {key}


@pytest.mark.parametrize("group", slow_but(["model", "init", "reg", "data", "optim"], 0, 1, 4))
def test_every_choice_of_a_group_is_a_conflict_with_every_other(group):
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    gain = ("init.gain=1.1",) if group == "reg" else ()  # at 1 soft and gain are the same
    made = {name: config(f"{group}={name}", *gain) for name in names}
    for one in names:
        for other in names:
            conflicts = differences(made[one], made[other]).conflicts
            assert bool(conflicts) == (one != other), (one, other)


def test_parts_that_differ_in_nothing_but_what_they_build_are_a_conflict():
    (found,) = differences(config("reg=gain"), config("reg=dso")).conflicts
    assert found.key == "reg._target_" and found.there.endswith("Soft")


@pytest.mark.parametrize(
    ("there", "here"),
    [(1, 1.0), (0.1 + 0.2, 0.30000000000000004), (math.nan, math.nan), ([1, 2], (1.0, 2.0))],
)
def test_equal_values_are_equal_however_they_are_written(there, here):
    assert not list(walk({"gain": there}, {"gain": here}))


@pytest.mark.parametrize(
    ("there", "here"),
    [(1, True), (0, False), ("1", 1), (None, 0), (None, ""), ([1], [1, 2]), ([], {}), (0.0, None)],
)
def test_values_of_another_kind_differ(there, here):
    assert list(walk({"x": there}, {"x": here}))


@pytest.mark.parametrize(
    "key", ["limit_train_batches", "limit_val_batches", "limit_test_batches", "val_check_interval"]
)
def test_one_batch_is_not_all_batches_and_null_is_all(key):
    one, whole, null = (config(f"++trainer.{key}={value}") for value in ("1", "1.0", "null"))
    assert keys(differences(one, whole).conflicts) == {f"trainer.{key}"}
    assert not differences(whole, null).conflicts and differences(null, one).conflicts


def without(node: dict[str, Any], *dropped: str) -> dict[str, Any]:
    other = copy.deepcopy(node)
    for key in dropped:
        *parents, name = key.split(".")
        inner = other
        for parent in parents:
            inner = inner[parent]
        del inner[name]
    return other


NEW = ("objective", "reg.onset", "reg.every", "optim.gain_lr", "trainer.limit_test_batches")


def test_a_key_that_is_new_since_has_its_default_on_either_side(plain):
    old = without(plain, *NEW)
    assert not any(differences(old, plain)) and not any(differences(plain, old))
    other = config("reg.onset=2", "optim.gain_lr=0.5")
    for pair in ((old, other), (other, old)):
        assert keys(differences(*pair).conflicts) == {"reg.onset", "optim.gain_lr"}


def test_a_key_that_nothing_gives_a_default_is_a_conflict(plain):
    strange = copy.deepcopy(plain)
    strange["reg"]["no_such_option"] = 1
    (found,) = differences(strange, plain).conflicts
    assert str(found) == "reg.no_such_option: 1 there, absent here"


def test_the_old_name_of_a_class_is_the_class(plain):
    old = copy.deepcopy(plain)
    old["reg"]["_target_"] = "isogain.reg.penalty.Penalty"
    assert not any(differences(old, plain)) and not any(differences(plain, old))
    assert differences(old, config("reg=dso")).conflicts


@pytest.mark.parametrize("options", [("callbacks=minimal",), ("callbacks=full",), ("logger=csv",)])
def test_callbacks_that_observe_and_loggers_may_differ_and_are_mentioned(plain, options):
    for pair in ((plain, config(*options)), (config(*options), plain)):
        found = differences(*pair)
        assert not found.conflicts and not found.limits and found.others


@pytest.mark.parametrize(
    ("callback", "observes"),
    [
        ("{_target_: pytorch_lightning.callbacks.LearningRateMonitor}", True),
        ("{_target_: pytorch_lightning.callbacks.ModelCheckpoint}", True),
        ("{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss}", False),
        ("{_target_: pytorch_lightning.callbacks.StochasticWeightAveraging, swa_lrs: 0.1}", False),
        ("{_target_: isogain.callbacks.learning_time.LearningTime, at: [0.5]}", True),
        ("{_target_: isogain.callbacks.learning_time.LearningTime, at: [0.5], stop: true}", False),
        (f"{{_target_: {__name__}.Watches}}", True),
        (f"{{_target_: {__name__}.Acts}}", False),
        ("{_target_: no.such.Module}", False),
    ],
)
def test_of_callbacks_those_that_change_training_are_compared(plain, callback, observes):
    other = config(f"+callbacks.more={callback}")
    for pair in ((plain, other), (other, plain)):
        assert bool(differences(*pair).conflicts) != observes
    assert not any(differences(other, copy.deepcopy(other)))


def test_no_module_is_imported_because_a_folder_names_it(plain, tmp_path, monkeypatch):
    (tmp_path / "foreign_module.py").write_text("raise SystemExit('it was run')")
    monkeypatch.syspath_prepend(tmp_path)
    foreign = copy.deepcopy(plain)
    foreign["callbacks"]["x"] = {"_target_": "foreign_module.Callback", "a": 1}
    foreign["reg"] = {"_target_": "foreign_module.Reg", "strength": 1}
    assert keys(differences(foreign, plain).conflicts) == {"callbacks.x", "reg._target_"}


def test_the_examples_of_a_step_count_and_not_how_they_are_shared_out(plain):
    shared = config("trainer.devices=2", "data.batch_size=64", "trainer.strategy=ddp")
    found = differences(plain, shared)
    assert not found.conflicts and keys(found.others) == {
        *("trainer.devices", "data.batch_size", "trainer.strategy")
    }
    for other in (("trainer.devices=2",), ("data.batch_size=64",), ("trainer.devices=auto",)):
        assert keys(differences(plain, config(*other)).conflicts) <= EXAMPLES
        assert differences(plain, config(*other)).conflicts


@pytest.mark.parametrize(
    ("options", "status", "over"),
    [
        ((), "finished", True),
        ((), "diverged", True),
        ((), "interrupted", False),
        ((), "failed", False),
        (("trainer.max_epochs=20",), "finished", False),
        (("trainer.max_epochs=20",), "diverged", False),
        (("trainer.max_epochs=10", "trainer.max_steps=60"), "finished", True),
        (("trainer.max_epochs=-1", "trainer.max_steps=60"), "finished", True),
        (("trainer.max_epochs=-1", "trainer.max_steps=61"), "finished", False),
        (("trainer.max_epochs=-1",), "finished", False),
    ],
)
def test_a_run_is_over_where_it_came_to_an_end_and_no_limit_asks_for_more(
    plain, options, status, over
):
    here, summary = config(*options), {"status": status, "epochs": 10, "steps": 60}
    found = differences(plain, here)
    assert not found.conflicts and bool(found.limits) == bool(options)
    assert is_over(found.limits, here, summary) == over
    assert beyond(here, summary) is None


@pytest.mark.parametrize("option", ["trainer.max_epochs=9", "trainer.max_steps=59"])
def test_a_limit_that_lies_behind_a_run_is_named(option):
    assert option in beyond(config(option), {"status": "finished", "epochs": 10, "steps": 60})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "optim.schedule=cosine goes on where the new length has it"),
        (("optim.schedule=constant",), ""),
        (("optim.schedule=constant", "reg.schedule=linear", "reg.epochs=3"), ""),
        (
            ("reg.schedule=linear",),
            "optim.schedule=cosine and reg.schedule=linear go on where the new length has it",
        ),
    ],
)
def test_what_another_length_does_to_schedules_is_said(options, words):
    assert schedules(config(*options)) == words
