"""`python train.py --help` names all that there is, a user's own choices too, in lines that a terminal has room for."""

import re
from collections.abc import Iterator

import pytest
import yaml
from command_lines import said
from runs import CONF

OPTIONLESS = {"progress"}  # a part of the callbacks with nothing to set
MINE = "# My own penalty, for $5.\n_target_: mine.Mine\nstrength: 1.0\nkind: x # x | y\nwide: ${init.gain}\n"


@pytest.fixture(scope="module")
def help_text(tmp_path_factory) -> str:
    return said(tmp_path_factory.mktemp("help"), "--help").out


def options(node: dict) -> Iterator[str]:
    """Every key that a user may set, in a part's YAML or in one of a dict of parts."""
    for key, value in (node or {}).items():
        if not key.startswith("_") and key != "defaults":
            yield key
            yield from options(value) if isinstance(value, dict) else ()


def test_its_lines_fit_a_terminal_of_a_hundred_columns(help_text):
    lines = help_text.splitlines()
    assert len(lines) <= 180 and max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    "path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}={path.stem}"
)
def test_it_names_every_choice_of_every_group_and_all_its_options(help_text, path):
    words = set(re.findall(r"\w+", help_text))
    elsewhere = path.parent.name in ("experiment", "cluster")  # those files explain themselves
    node = {} if elsewhere else yaml.safe_load(path.read_text())
    assert {path.parent.name, path.stem, *options(node)} - words - OPTIONLESS == set()


def test_it_names_the_options_of_the_launchers_of_the_trainer_and_of_the_run(help_text):
    words = set(re.findall(r"\w+", help_text))
    assert {"jobs", "partition", "n_trials", "max_epochs", "precision", "objective"} <= words


@pytest.mark.parametrize("how", ["--config-dir={}", "hydra.searchpath=[file://{}]"])
def test_a_choice_of_a_user_s_own_is_in_it(tmp_path, how):
    (tmp_path / "reg").mkdir()
    (tmp_path / "reg" / "mine.yaml").write_text(MINE)
    shown = said(tmp_path, how.format(tmp_path), "--help").out
    assert "\n  mine       My own penalty, for $5.\n" in shown
    assert "\n  ... mine: strength kind=x|y wide\n" in shown


def test_with_a_choice_it_shows_that_choice_s_file(tmp_path):
    (tmp_path / "reg").mkdir()
    (tmp_path / "reg" / "mine.yaml").write_text(MINE)
    shown = said(tmp_path, f"hydra.searchpath=[file://{tmp_path}]", "reg=mine", "--help").out
    assert "reg=mine" in shown and all(f"  {line}" in shown for line in MINE.splitlines())
