"""Every shipped experiment says what it asks, composes in every size, and trains; none needs data to be checked."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

import pytest
import yaml
from guards import PATIENCE
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from runs import CONF, composed, summary, whole

from isogain.config.check import parts
from isogain.data import sentiment
from isogain.record.run_folder import RunFolder
from isogain.training.preflight import rehearse
from isogain.training.run import run

FOLDER = CONF / "experiment"
ALL = sorted(str(p.relative_to(FOLDER).with_suffix("")) for p in FOLDER.rglob("*.yaml"))
SIZED = sorted(path.parent.name for path in FOLDER.glob("*/smoke.yaml"))
pytestmark = pytest.mark.usefixtures("mnist_read_once")
GROUPS = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
TITLES = ["Question", "Source", "Expected", "Cost", "Answer"]
PRESETS = sorted(
    f"{p.parts[-3]}={p.parts[-2]}/{p.stem}"
    for p in CONF.glob("*/*/*.yaml")
    if p.parts[-3] not in ("experiment", "hydra")
)
SHORT = ("e_when", "hlav_sentiment")  # the smoke sizes that the quick suite trains
slow = partial(pytest.param, marks=pytest.mark.slow)
NUMBERS = re.compile(r"(\d[\d ]*) (?:runs|networks)")


@pytest.fixture
def rt_polarity(tmp_path, monkeypatch) -> Path:
    """Two small files, which count as the published ones: the real ones do not ship."""
    for name, word in (("rt-polarity.neg", "bad"), ("rt-polarity.pos", "good")):
        raw = "".join(f"a {word} film no{i} \n" for i in range(200)).encode()
        (tmp_path / name).write_bytes(raw)
        monkeypatch.setitem(sentiment.MD5, name, hashlib.md5(raw).hexdigest())
    return tmp_path


@cache
def _whole(name: str) -> DictConfig:
    """The experiment with Hydra's own part, which says what is swept."""
    return whole([f"experiment={name}"])


@cache
def sweep(name: str, *overrides: str) -> dict[str, list[str]]:
    """The values of each key that `python train.py -m experiment=NAME` sweeps, as overrides."""
    config = _whole(name)
    said = [f"{k}={v}" for k, v in config.hydra.sweeper.params.items()] if swept(config) else []
    found = OverridesParser.create().parse_overrides([*said, *overrides])
    return {
        o.key_or_group: [line for (line,) in BasicSweeper.split_arguments([o], None)[0]]
        for o in found
    }


def swept(config: DictConfig) -> bool:
    """Whether it has a grid: trials that a sweeper chooses are no points beforehand."""
    return bool(config.hydra.sweeper.params) and "n_trials" not in config.hydra.sweeper


def trials(name: str) -> int:
    config = _whole(name)
    return config.hydra.sweeper.get("n_trials", 1)


def points(axes: dict[str, list[str]]) -> list[tuple[str, ...]]:
    """As few points as have every value of every key in them; of the seeds the first and the last."""
    some = [v[:: max(len(v) - 1, 1)] if key == "seed" else v for key, v in axes.items()]
    return [
        tuple(values[i % len(values)] for values in some)
        for i in range(max(map(len, some), default=1))
    ]


def configs(name: str, chosen: Sequence[tuple[str, ...]]) -> list[DictConfig]:
    """The config of each point."""
    return [composed(f"experiment={name}", *point, "out=run") for point in chosen]


def header(name: str) -> str:
    """The comment at the top, without its package directive."""
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    head = lines[1 : next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert lines[0] == "# @package _global_"
    return "\n".join(line.removeprefix("#").strip() for line in head)


@pytest.mark.parametrize(
    "name", [slow(name) if name not in SIZED or name.startswith("hlav") else name for name in ALL]
)
@pytest.mark.slow
def test_every_point_of_every_size_passes_the_checks_before_a_run(name):
    for config in configs(name, points(sweep(name))):
        rehearse(**parts(config))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_within_a_group_is_a_choice_of_it(preset):
    config = composed(preset, "out=run")
    parts(config)
    assert set(config) >= GROUPS - {"cluster", "experiment"}


@pytest.mark.parametrize("name", SIZED)
def test_a_header_says_question_source_expectation_cost_and_how_to_answer(name):
    head = header(name)
    assert re.findall(r"^(\w+):", head, re.M) == TITLES
    assert "python -m isogain.results FOLDER" in head


@pytest.mark.parametrize("name", ALL)
def test_every_size_and_setting_says_what_it_is(name):
    assert len(header(name)) > 20


@pytest.mark.parametrize("name", [name if name in SIZED else slow(name) for name in ALL])
def test_the_number_of_runs_in_a_header_is_that_of_the_sweep(name):
    told = NUMBERS.search(header(name))
    if told:
        total = trials(name)
        for values in sweep(name).values():
            total *= len(values)
        assert int(told[1]) == total


@pytest.mark.parametrize("name", SIZED)
def test_an_experiment_has_a_sweep_over_seeds_and_a_size_each_for_ci_and_for_the_paper(name):
    assert {f"{name}/smoke", f"{name}/paper"} <= set(ALL)
    for size in (name, f"{name}/paper"):
        assert len(sweep(size)["seed"]) >= 3
    assert len(sweep(f"{name}/smoke")["seed"]) == 1


@pytest.mark.parametrize("name", ["hlav_seqmnist", "hlav_seqmnist/ours", "hlav_seqmnist/notebook"])
def test_the_main_claim_has_at_least_ten_seeds_of_hers_of_soft_and_of_none(name):
    axes = sweep(name)
    choices = {o.partition("=")[2].rpartition("/")[2].partition("_")[0] for o in axes["reg"]}
    assert len(axes["seed"]) >= 10 and {"none", "soft", "gain"} <= choices


@pytest.mark.parametrize("name", SIZED)
def test_what_the_command_line_says_wins_over_the_sweep(name):
    assert sweep(name, "seed=7")["seed"] == ["seed=7"]
    config = composed(f"experiment={name}/smoke", "model.hidden=5", "trainer.max_steps=2")
    assert config.model.hidden == 5 and config.trainer.max_steps == 2


@pytest.mark.parametrize("name", [name if name in SHORT else slow(name) for name in SIZED])
def test_the_first_and_the_last_point_of_the_smoke_size_train_to_finite_results(
    name, tmp_path, rt_polarity
):
    chosen = points(sweep(f"{name}/smoke"))
    for i, config in enumerate(configs(f"{name}/smoke", [chosen[0], chosen[-1]])):
        if config.data._target_.endswith("Sentiment"):
            config.data.root = str(rt_polarity)
        found = trained(config, tmp_path / str(i))
        assert found["status"] == "finished" and {"test/loss", "seed"} <= found.keys()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("a_gradients", "signal_grad/at_start/log_ratio test/acc"),
        slow("b_depth", "steps_to/train/loss/3"),
        slow("c_isometry", "train/loss jacobian/at_start/log_max theory/q_star"),
        slow("sokol_fisher", "fisher_empirical/at_start/lambda_max jacobian/at_start/log_max"),
    ],
)
def test_the_summary_holds_what_the_answer_is_read_from(name, keys, tmp_path):
    (config,) = configs(f"{name}/smoke", points(sweep(f"{name}/smoke"))[:1])
    assert set(keys.split()) <= trained(config, tmp_path / "run").keys()
    assert not (tmp_path / "run" / "checkpoints").exists()  # `checkpoints: null`


@pytest.mark.slow
def test_a_sweep_runs_without_a_word_on_what_to_sweep(tmp_path):
    command = [
        sys.executable,
        "train.py",
        "-m",
        "experiment=b_depth/smoke",
        f"out={tmp_path}/sweep",
    ]
    subprocess.run(command, cwd=CONF.parent, check=True, capture_output=True, timeout=PATIENCE)
    said = sweep("b_depth/smoke")
    found = [yaml.safe_load(p.read_text()) for p in tmp_path.glob("sweep/*/overrides.yaml")]
    assert sorted(o[: len(said)] for o in found) == sorted(map(list, product(*said.values())))
    for path in tmp_path.glob("sweep/*/summary.json"):
        assert json.loads(path.read_text())["status"] == "finished"


def trained(config: DictConfig, out: Path) -> dict:
    config.out = str(out)
    built = parts(config)
    rehearse(**built)
    RunFolder(out).claim(config, [], resume=False)
    run(**built)
    return summary(out)


def test_every_sweep_of_the_study_is_an_experiment_and_has_an_answer():
    makefile = (CONF.parent / "Makefile").read_text()
    listed = (
        re.search(r"STUDY := (.*?)\nSENTIMENT", makefile, re.DOTALL)[1].replace("\\\n", " ").split()
    )
    answers = (CONF.parent / "results" / "answers").read_text()
    read = set(re.findall(r"\b(\w+/\w+)\b(?= )", answers))
    assert len(listed) > 20 and {name.removesuffix("/study") for name in listed} <= set(ALL)
    assert set(listed) <= read
