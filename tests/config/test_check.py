"""A config is checked against what it will build, before it is built; each mistake is one line."""

from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from cases import slow_but
from omegaconf import OmegaConf
from runs import CONF, composed

from isogain.config.check import mistakes, parts, resolved
from isogain.config.errors import ConfigError, DataError

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
CHOICES = [
    f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))
]
TRAINED = {  # in the quick suite: each is built and runs
    choice for choice in CHOICES if choice.split("=")[0] in ("init", "model", "optim", "reg")
}
HERE = "isogain.tests_of_config"


class Whole:
    def __init__(
        self,
        count: int = 1,
        rate: float = 1.0,
        on: bool = True,
        name: str = "a",
        kind: Literal["x", "y"] = "x",
        perhaps: float | None = None,
        tags: list[str] | None = None,
        part: Any = None,
    ) -> None:
        self.options = (count, rate, on, name, kind, perhaps, tags, part)


class Open:
    def __init__(self, count: int = 1, **others: Any) -> None:
        self.others = others


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The classes above, where `_target_` finds them under any import mode."""
    module = SimpleNamespace(Whole=Whole, Open=Open)
    monkeypatch.setitem(__import__("sys").modules, HERE, module)
    monkeypatch.setattr("isogain.tests_of_config", module, raising=False)


def whole(**options: Any) -> dict[str, Any]:
    return {"_target_": f"{HERE}.Whole", **options}


def refusal(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as told:
        parts(composed(*overrides, "out=run"))
    return str(told.value).splitlines()


@pytest.mark.parametrize(
    "choice", slow_but(CHOICES, *(i for i, choice in enumerate(CHOICES) if choice not in TRAINED))
)
def test_every_choice_of_every_group_is_free_of_mistakes_and_can_be_built(choice):
    assert set(parts(composed(choice, "out=run"))) >= set(GROUPS) - {
        "cluster",
        "experiment",
        "hydra",
    }


@pytest.mark.parametrize("reg", sorted(path.stem for path in (CONF / "reg").glob("*.yaml")))
def test_the_gain_of_the_initialiser_is_the_gain_of_the_regulariser_but_for_soft(reg):
    plain = resolved(composed(f"reg={reg}", "init.gain=1.25"))
    assert plain["reg"].get("gain", 1.25) == (1.0 if reg == "soft" else 1.25)


def test_a_typo_is_answered_with_the_class_and_the_nearest_option():
    assert list(mistakes({"a": whole(nam="b")})) == [
        "a.nam: Whole has no such option; did you mean 'name'?"
    ]


def test_an_option_like_no_other_is_answered_with_all_there_are():
    (line,) = mistakes({"a": whole(zzz=1)})
    assert line.endswith("there is: count, kind, name, on, part, perhaps, rate, tags")


@pytest.mark.parametrize(
    "options",
    [
        {"count": 0},
        {"rate": 2},
        {"rate": 0.5},
        {"on": False},
        {"name": ""},
        {"kind": "y"},
        {"perhaps": None},
        {"perhaps": 3},
        {"tags": ["a"]},
        {"part": 3},
        {"part": {"_target_": f"{HERE}.Whole", "count": 2}},
        {"_partial_": True},
    ],
    ids=str,
)
def test_a_value_of_the_right_type_is_no_mistake(options):
    assert list(mistakes(whole(**options))) == []


@pytest.mark.parametrize(
    ("option", "value", "said", "wanted"),
    [
        ("count", 1.5, "1.5", "a whole number"),
        ("count", True, "true", "a whole number"),
        ("count", None, "null", "a whole number"),
        ("count", "3x", "3x", "a whole number"),
        ("rate", "1e", "1e", "a number"),
        ("rate", False, "false", "a number"),
        ("rate", [1.0], "[1.0]", "a number"),
        ("on", 1, "1", "true or false"),
        ("on", "yes", "yes", "true or false"),
        ("name", 3, "3", "text"),
        ("name", None, "null", "text"),
        ("kind", "z", "z", "one of x, y"),
        ("kind", None, "null", "one of x, y"),
        ("perhaps", "a", "a", "a number or null"),
        ("perhaps", True, "true", "a number or null"),
        ("count", float("nan"), "nan", "a whole number"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_what_it_must_be(option, value, said, wanted):
    assert list(mistakes({"a": whole(**{option: value})})) == [
        f"a.{option}={said}: must be {wanted}"
    ]


@pytest.mark.parametrize("value", [{"x": 1}, {}], ids=str)
@pytest.mark.parametrize("option", ["count", "kind", "perhaps"])
def test_a_group_of_keys_where_a_value_belongs_is_a_mistake(option, value):
    assert len(list(mistakes(whole(**{option: value})))) == 1


@pytest.mark.parametrize("value", ["abc", 3])
def test_a_single_value_where_a_list_belongs_is_a_mistake(value):
    assert len(list(mistakes(whole(tags=value)))) == 1


def test_mistakes_are_found_however_deep_they_lie():
    node = {"a": {"b": [whole(), whole(part=whole(count="x"))]}}
    assert list(mistakes(node)) == ["a.b.1.part.count=x: must be a whole number"]


def test_where_a_class_takes_any_option_only_the_types_of_the_known_ones_are_checked():
    found = list(mistakes({"_target_": f"{HERE}.Open", "count": "x", "more": 1}))
    assert found == ["count=x: must be a whole number"]


@pytest.mark.parametrize(
    "target", ["isogain.nowhere.Thing", "isogain.training.run.runn", "nopackage.Thing", "Thing", ""]
)
def test_a_target_that_does_not_exist_is_one_line_that_names_it(target):
    (line,) = mistakes({"a": {"_target_": target, "x": 1}})
    assert line.startswith(f"a._target_={target}: ") and len(line) > len(f"a._target_={target}: ")


def test_every_mistake_gets_one_line_before_anything_is_built(monkeypatch):
    monkeypatch.setattr("isogain.config.check.instantiate", None)
    options = ("model.hidden=x", "+init.gian=2", "callbacks.jacobian.every=2.5", "seed=zero")
    assert sorted(refusal(*options)) == [
        "callbacks.jacobian.every=2.5: must be a whole number or text",
        "init.gian: orthogonal_ has no such option; did you mean 'gain'?",
        "model.hidden=x: must be a whole number",
        "seed=zero: must be a whole number",
    ]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("optim.lr=0", "optim.lr must be a finite number > 0, got 0"),
        ("optim.momentum=1", "optim.momentum must be at least 0 and less than 1, got 1"),
        ("reg.strength=-1", "reg.strength must be a finite number >= 0, got -1"),
        ("data.batch_size=0", "data.batch_size must be a finite number >= 1, got 0"),
        (
            "callbacks.weights.every=0",
            "callbacks.weights.every must be a finite number >= 1, got 0",
        ),
    ],
)
def test_a_constructor_that_refuses_a_value_is_heard_with_the_path_of_the_option(override, line):
    assert refusal("optim=sgd", override) == [line]


def test_a_refused_value_that_comes_from_elsewhere_says_from_where():
    assert refusal("init.gain=-1", "reg=gain") == [
        "reg.gain must be a finite number > 0, got -1 (reg.gain is ${init.gain})"
    ]


def test_every_part_that_refuses_gets_its_own_line():
    assert [line.split(" must")[0] for line in refusal("optim.lr=0", "reg.strength=-1")] == [
        "reg.strength",
        "optim.lr",
    ]


def test_a_value_that_is_missing_is_named():
    config = OmegaConf.create({"a": {"b": "???"}})
    with pytest.raises(ConfigError, match=r"^a\.b: ") as told:
        resolved(config)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("value", ["${nowhere.at_all}", "${nosuch:1}", "${oc.env:NO_SUCH_VAR}"])
def test_an_interpolation_that_leads_nowhere_is_one_line_that_names_its_key(value):
    with pytest.raises(ConfigError, match=r"^a\.b: \S") as told:
        resolved(OmegaConf.create({"a": {"b": value}}))
    assert "\n" not in str(told.value)


def test_an_interpolation_that_ends_in_itself_is_one_line_that_names_its_key():
    with pytest.raises(ConfigError, match=r"^a\.b: \S") as told:
        resolved(OmegaConf.create({"a": {"b": "${a.b}"}}))
    assert "\n" not in str(told.value)


def test_plain_values_and_parts_come_out_by_name():
    built = parts(
        OmegaConf.create({"_target_": f"{HERE}.Open", "count": 3, "w": whole(count="${count}")})
    )
    assert built["count"] == 3 and built["w"].options[0] == 3 and set(built) == {"count", "w"}


def test_a_partial_waits_with_its_options():
    built = parts(OmegaConf.create({"w": whole(count=2, _partial_=True)}))
    assert isinstance(built["w"], partial) and built["w"].keywords == {"count": 2}


class Faulty:
    """A part of a user's own, which raises one of FAULTS."""

    def __init__(self, fault: int, gain: float = 1.0) -> None:
        raise FAULTS[fault][0]


FAULTS = [
    (ValueError("gain must be > 0, got -1"), "data.gain must be > 0, got -1"),
    (ValueError("the file is empty"), "data: the file is empty"),
    (OSError(2, "No such file or directory", "x.npy"), "data: x.npy: No such file or directory"),
    (OSError("no file at all"), "data: OSError: no file at all"),
    (KeyError("gain"), "data: KeyError: 'gain'"),
    (TypeError("gain has no len()"), "data: TypeError: gain has no len()"),
    (RuntimeError(""), "data: RuntimeError"),
    (DataError("/x/y.bin: no such file"), "data: /x/y.bin: no such file"),
    (IndexError("list index\nout of range"), "data: IndexError: list index"),
]


@pytest.mark.parametrize("fault", range(len(FAULTS)), ids=[line for _, line in FAULTS])
def test_what_a_users_own_part_raises_is_told_as_an_option_only_where_it_is_about_one(
    monkeypatch, fault
):
    monkeypatch.setattr(f"{HERE}.Faulty", Faulty, raising=False)
    with pytest.raises(ConfigError) as raised:
        parts(OmegaConf.create({"data": {"_target_": f"{HERE}.Faulty", "fault": fault}}))
    assert str(raised.value) == FAULTS[fault][1]
