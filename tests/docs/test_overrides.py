"""Every override, option and choice that pages and comments of conf/ name is one that the command line takes."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pages
import pytest
from cases import slow_but
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from pages import PAGES, ROOT, Command
from runs import CONF

from isogain.config.check import parts
from isogain.launch.grid_check import Composed
from isogain.training.preflight import rehearse

REMARK = re.compile(r"\s{2,}|;|`")  # ends a command in a comment
EXTENDING = ROOT / "docs/extending.md"
COMMENTS = [
    Command(str(path.relative_to(ROOT)), tuple(shlex.split(REMARK.split(line)[0])))
    for path in sorted(CONF.rglob("*.yaml"))
    for line in re.findall(r"python train\.py .*", path.read_text())
    if "[" not in line  # the shape of a command line, not one
]
SHOWN = list(chain.from_iterable(map(pages.commands, PAGES)))
TRAIN = sorted({c for c in [*SHOWN, *COMMENTS] if c.words[1] == "train.py"})
WORD = r"[a-z_]+(?:[./][\w.]+)?=\S*"
OVERRIDES = re.compile(rf"(?:[a-z]+ )?{WORD}.*")
NO_OVERRIDES = {"n=8, 2 diverged", "reg=gain|none init.gain>1 failed"}  # a table's cell, a filter
STANDS_FOR = {"NAME": "gap", "OPTION": "partition", "...": "gain", "m": "0.1", "k": "2"}
OF_PYTHON = "docs/own_network.md"  # its inline code shows arguments of calls
CALL = re.compile(r"python (?:train\.py|-m isogain\.|benchmarks/)")
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
KEY = re.compile(rf"(?:trainer|{'|'.join(GROUPS)})\.[\w.]+")


def named(pattern: re.Pattern) -> list[tuple[str, str]]:
    """Page and inline code of this shape."""
    shown = {(pages.name(page), code) for page in PAGES for code in pages.inline(page)}
    shown = {(page, code) for page, code in shown if page != OF_PYTHON}
    return sorted(x for x in shown if pattern.fullmatch(x[1]) and x[1] not in NO_OVERRIDES)


@pytest.fixture(scope="module", autouse=True)
def conf(tmp_path_factory) -> Iterator[Path]:
    """Hydra, and the files that the pages have a reader write: what docs/extending.md adds, a cluster's settings."""
    folder = tmp_path_factory.mktemp("conf")
    (ours,) = (b.text for p in PAGES for b in pages.blocks(p) if b.text.startswith("# @package"))
    for name, text in (pages.shown_configs(EXTENDING) | {"cluster/ours": ours}).items():
        (folder / name).parent.mkdir()
        (folder / f"{name}.yaml").write_text(text)
    with (
        pytest.MonkeyPatch.context() as patch,
        initialize_config_dir(str(CONF), version_base="1.3"),
    ):
        for block in pages.blocks(EXTENDING):
            if block.language == "python":
                pages.run(block, patch)
        yield folder


@cache
def composed(conf: Path, *overrides: str) -> DictConfig:
    """What the command line composes, Hydra's own part included."""
    ours = (f"hydra.searchpath=[file://{conf}]", "out=run")
    return compose("train", [*ours, *overrides], return_hydra_config=True)


@cache
def composer(conf: Path) -> Composed:
    """What composes a run of the pages: each choice of groups once."""
    return Composed(lambda chosen: composed(conf, *chosen).copy(), {*GROUPS, "hydra/sweeper"})


def built(conf: Path, overrides: list[str]) -> dict:
    return parts(composer(conf)(overrides))


def points(overrides: list[str]) -> list[list[str]]:
    """The first and the last point of the sweep that they make, or the one run."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    made = BasicSweeper.split_arguments(parsed, None)[0]
    return made if len(made) == 1 else [made[0], made[-1]]


def choices(group: str) -> list[str]:
    """The choices of a group as overrides; of `hydra` those that bring options of its own."""
    if group == "hydra":
        return [*choices("hydra/sweeper"), *choices("cluster")]
    return [f"{group}={path.stem}" for path in sorted((CONF / group).glob("*.yaml"))]


def spelt_out(code: str) -> list[str]:
    """The overrides of a piece of code: `hard reg.margin=m` is reg=hard reg.margin=0.1."""
    code = code.replace("<sweep>", "sweep").replace("experiment=NAME", "experiment=b_depth")
    for short, long in STANDS_FOR.items():
        code = re.sub(rf"(?<=[=.]){re.escape(short)}(?=[ =]|$)", long, code)
    first, *others = code.replace(", ", ",").split(" ")
    return [first if "=" in first else f"{others[0].split('.')[0]}={first}", *others]


@cache
def taken(conf: Path, *words: str) -> bool:
    try:
        for point in points(list(words)):
            built(conf, point)
    except Exception:  # whatever an override can be wrong in
        return False
    return True


def has(conf: Path, key: str) -> bool:
    """Whether some choice of the key's group has it."""
    group = key.split(".")[0]
    return key in GROUPS or any(
        OmegaConf.select(composed(conf, *choice), key, default=conf) is not conf
        for choice in [(), *((c,) for c in choices(group))]
    )


def where(shown: tuple[str, object]) -> str:
    return f"{shown[0]} {shown[1] if isinstance(shown[1], str) else ' '.join(shown[1])}"


def test_no_command_of_the_pages_escapes():
    for page in PAGES:
        text = re.sub(r"(?m)\s{2,}# .*$", "", page.read_text())
        printed = [  # by a tool, in a transcript
            line
            for block in pages.blocks(page)
            for line in re.sub(r"(?m)\s{2,}# .*$", "", block.text).splitlines()
            if CALL.search(line) and not re.match(r"(?:\$ )?python ", line)
        ]
        here = [c for c in SHOWN if c.of.split(":")[0] == pages.name(page)]
        calls = [c for c in here if c.words[0] == "python"]
        assert len(calls) + len(printed) == len(CALL.findall(text)), page
    assert len(TRAIN) > 20 and len(named(OVERRIDES)) > 50 and len(named(KEY)) > 5


@pytest.mark.parametrize("command", slow_but(zip(TRAIN), *range(0, 200, 6)), ids=where)
def test_every_run_and_both_ends_of_every_sweep_pass_the_checks_before_a_run(command, conf):
    overrides = [word for word in command.words[2:] if word not in ("-m", "--help")]
    for point in points(overrides):
        rehearse(**built(conf, point))


@pytest.mark.parametrize("shown", slow_but(zip(named(OVERRIDES)), *range(0, 200, 6)), ids=where)
def test_every_override_in_a_sentence_is_taken_beside_some_choice_of_its_group(shown, conf):
    words = spelt_out(shown[1])
    assert all(has(conf, word[:-1]) for word in words if word.endswith("="))  # a column's head
    given = [word for word in words if not word.endswith("=")]
    group = re.split("[=.]", given[-1])[0] if given else ""
    besides = [] if any(w.startswith(f"{group}=") for w in given) else choices(group)
    assert not given or any(taken(conf, *beside, *given) for beside in [(), *zip(besides)])


@pytest.mark.parametrize("shown", named(KEY), ids=where)
def test_every_key_in_a_sentence_is_an_option(shown, conf):
    assert has(conf, spelt_out(f"{shown[1]}=")[0][:-1])
