"""Old names of classes lead to where they are today."""

from importlib import import_module
from pkgutil import resolve_name

import pytest
from runs import CONF, composed

from isogain.config.check import resolved
from isogain.config.moved import MOVED, current_name, with_current_names


@pytest.mark.parametrize("new", sorted(set(MOVED.values())))
def test_every_new_name_is_there(new):
    try:
        import_module(new)
    except ModuleNotFoundError:
        assert resolve_name(new)


def test_a_new_name_is_its_own_and_so_is_one_that_never_moved():
    names = [*MOVED.values(), "isogain.optim.Adam", "somebody.else.s", "isogain", "", "."]
    assert [current_name(name) for name in names] == names


def test_what_lies_in_a_module_that_moved_lies_in_its_new_place():
    assert current_name("isogain.table.Table") == "isogain.record.metrics_csv.Table"
    assert current_name("isogain.tables.Table") == "isogain.tables.Table"
    assert current_name("isogain.record.RunRecord") == "isogain.record.logger.RunRecord"


def test_names_change_at_every_depth_and_nothing_else_does():
    old = {"a": [{"_target_": "isogain.folder.RunFolder", "x": "isogain.folder"}], "b": None}
    new = {"a": [{"_target_": "isogain.record.run_folder.RunFolder", "x": "isogain.folder"}]}
    assert with_current_names(old) == new | {"b": None}


def test_a_users_yaml_with_an_old_name_builds_the_class_of_today():
    config = composed("reg.reduction=mean", "reg._target_=isogain.reg.penalty.Penalty")
    assert resolved(config)["reg"]["_target_"] == "isogain.reg.penalty.Soft"


def test_no_yaml_of_ours_has_an_old_name():
    for path in CONF.rglob("*.yaml"):
        for line in path.read_text().splitlines():
            if line.strip().startswith("_target_: "):
                name = line.split()[1]
                assert current_name(name) == name
