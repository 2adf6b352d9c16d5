"""The YAMLs of conf/ describe themselves: a sentence each, and the values of every option that has only some."""

import inspect
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf
from runs import CONF

from isogain.launch.config_groups import Option, choice, folder_of, groups

GROUPS = {group.name: group for group in groups([CONF])}
CHOICES = [(group.name, each.name) for group in GROUPS.values() for each in group.choices]


def named(group: str, name: str):
    return next(each for each in GROUPS[group].choices if each.name == name)


def literals(node: Any, above: str = "") -> Iterator[tuple[str, tuple]]:
    """Every option of a config whose class takes only some values, with these."""
    target = get_object(node["_target_"]) if "_target_" in node else None
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target) if target else {}
    for key, value in node.items():
        if isinstance(value, dict):
            yield from literals(value, f"{above}{key}.")
        elif get_origin(hints.get(key)) is Literal:
            yield above + key, get_args(hints[key])


@pytest.mark.parametrize(("group", "name"), CHOICES, ids="=".join)
def test_every_choice_begins_with_a_sentence(group, name):
    sentence = named(group, name).sentence
    assert sentence[0].isupper() or sentence[0] in "λ‖", sentence
    assert sentence.endswith((".", "?")), sentence


@pytest.mark.parametrize(
    ("group", "name"),
    [c for c in CHOICES if c[0] not in ("experiment", "hydra/sweeper")],
    ids="=".join,
)
def test_the_remark_of_an_option_lists_the_values_that_its_signature_has(group, name):
    node = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    values = {option.name: option.values for option in named(group, name).options}
    if "defaults" not in node:
        for option, there in literals(node):
            assert values[option].split("|") == list(there), option


def test_the_groups_come_in_the_order_of_the_defaults_each_with_its_default_first():
    assert list(GROUPS)[:3] == ["model", "init", "reg"]
    assert GROUPS["reg"].choices[0].name == GROUPS["reg"].default == "gain"
    assert GROUPS["experiment"].default == ""


def test_a_choice_is_its_first_comment_and_its_keys_with_their_remarks():
    text = "# @package reg\n#\n# Pulls.\n# Much.\n_target_: a.B\nrate: 1 # a number\nkind: x # x | y; z\nat: []\n"
    assert choice("pull", text)[:3] == (
        "pull",
        "Pulls.",
        (Option("rate", "a number"), Option("kind", "x | y; z"), Option("at")),
    )
    assert (
        choice("pull", text).options[1].values == "x|y"
        and choice("pull", text).options[0].values == ""
    )


def test_of_two_folders_with_a_choice_of_one_name_the_first_has_it(tmp_path):
    for folder, sentence in (("a", "First."), ("b", "Second.")):
        (tmp_path / folder / "reg").mkdir(parents=True)
        (tmp_path / folder / "reg" / "mine.yaml").write_text(f"# {sentence}\nx: 1\n")
    (tmp_path / "b" / "train.yaml").write_text("defaults:\n  - reg: mine # what pulls\n")
    (group,) = groups([tmp_path / "a", tmp_path / "b"])
    assert (group.name, group.sentence, group.default) == ("reg", "what pulls", "mine")
    assert [each.sentence for each in group.choices] == ["First."]


def test_a_folder_without_a_root_config_or_without_groups_adds_none(tmp_path):
    assert [group.name for group in groups([CONF, tmp_path])] == list(GROUPS)


def test_an_empty_file_is_a_choice_without_options():
    assert choice("none", "")[:3] == ("none", "", ())
    assert choice("none", "# Nothing.\n{}\n")[:3] == ("none", "Nothing.", ())


def test_a_file_that_is_no_yaml_is_named_and_spoils_no_help():
    assert choice("bad", "# Sums.\na: [\n").sentence == "This file is no valid YAML."


def test_a_source_of_the_search_path_is_a_folder_or_none(tmp_path):
    assert folder_of("file", str(tmp_path)) == tmp_path
    assert folder_of("pkg", "isogain.launch").joinpath("help_text.py").is_file()
    for schema, path in (("file", "/nowhere"), ("pkg", "no.such.package"), ("structured", "")):
        assert folder_of(schema, path) is None
