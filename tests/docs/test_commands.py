"""Every command that README.md and docs/ show works: run in the order of its page, a training for two batches."""

import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from urllib.request import urlopen

import forked
import pages
import pytest
import yaml
from guards import PATIENCE
from pages import PAGES, ROOT, Command
from wandb_server import KEY, Views

SHOWN = {page: list(dict.fromkeys(pages.commands(page))) for page in PAGES}
SHORT = (
    "trainer.max_epochs=1",
    "trainer.max_steps=-1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
)
SOME_SWEEP = ("multirun/STAMP", "FOLDER", "<sweep>", "sw/gap")
STANDS_FOR = {"NAME": "means", "KEY": "reg", "FILE": "figure.png", "...": None}
ELSEWHERE = {  # files that a page has a reader write: test_overrides.py
    name.replace("/", "=") for page in PAGES for name in pages.shown_configs(page)
}


@pytest.mark.parametrize(
    "command", sorted({c for page in PAGES for c in SHOWN[page] if c.words[0] == "make"})
)
def test_make_knows_the_target(command):
    subprocess.run([*command.words, "-n"], cwd=ROOT, check=True, capture_output=True)


def test_what_is_installed_is_this_folder_with_extras_that_it_has():
    """No index has the package; extras are those of pyproject.toml, and those that code and comments name too."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    told = [c for page in PAGES for c in SHOWN[page] if c.words[0] == "pip"]
    for command in told:
        assert re.fullmatch(r"-e \.(\[\w+\])?", " ".join(command.words[2:])), command
    text = "\n".join(p.read_text() for p in [*PAGES, *(ROOT / "conf").rglob("*.yaml")])
    assert len(told) > 2 and set(re.findall(r"\.\[(\w+)\]'", text)) <= set(extras)


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_python_code_does_what_its_remarks_say(page, tmp_path, monkeypatch):
    """Each block is run; `# 1.01, 0.002` beside a statement is its value, to the digits given."""
    monkeypatch.chdir(tmp_path)
    for block in pages.blocks(page):
        names = pages.run(block, monkeypatch) if block.language == "python" else {}
        for code, remark in re.findall(
            r"(?m)^(?:.* = )?(\S.*\))  # \(?([-\d., ]+)\)?$", block.text
        ):
            numbers, value = remark.split(", "), eval(code, names)
            for told, found in zip(numbers, value if len(numbers) > 1 else [value], strict=True):
                assert f"{float(found):.{len(told.partition('.')[2])}f}" == told, code


@pytest.fixture(scope="module")
def some_sweep(tmp_path_factory) -> Path:
    """Two small finished runs: what a page means by a folder that it does not make."""
    cwd = tmp_path_factory.mktemp("some")
    words = ("-m", "reg=gain,none", "seed=0", "model.hidden=8", "out=sweep", *SHORT)
    ended(cwd, ("train.py", *words))
    return cwd / "sweep"


@pytest.fixture(scope="module", autouse=True)
def account(tmp_path_factory) -> Iterator[None]:
    """An account at a W&B of our own."""
    with Views() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", server.url)
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_the_commands_of_a_page_work_in_its_order(page, tmp_path, some_sweep, fork_server):
    done = set()
    for i, command in enumerate(SHOWN[page]):
        if command.words[0] != "python" or ELSEWHERE & set(command.words):
            continue
        for place in set(SOME_SWEEP) & set(command.words):
            if not (tmp_path / place).exists():
                shutil.copytree(some_sweep, tmp_path / place)
        short = made_short(command, [c for c in SHOWN[page][i:] if c.of == command.of])
        if short not in done:  # on SLURM it is the command that it is here
            ended(tmp_path, short)
        done.add(short)


def made_short(command: Command, later: list[Command]) -> tuple[str, ...]:
    """The words without their `python`, real names for what stands for one; of a training two batches, on this machine,
    of a sweep its ends.
    """
    words = [STANDS_FOR.get(word, word) for word in command.words[1:]]
    words = [word for word in words if word is not None]
    if words[0] != "train.py":
        asks = words[0].startswith("benchmarks/") or len(words) == 2
        return (*words, "--help") if asks else tuple(words)
    if "--help" in words:
        return tuple(words)
    words = [re.sub(r"(jacobian\.examples)=\d+", r"\1=2", w) for w in words]
    words = [w for w in words if w != "cluster=slurm" and not w.startswith("hydra.launcher.")]
    if "-m" in words:
        words = ends(words)
    if not any(word.startswith("out=") for word in words):
        awaited = "-m" in words and any("multirun/STAMP" in c.words for c in later)
        named = re.sub(r"\W", "_", " ".join(words))
        words.append("out=multirun/STAMP" if awaited else f"out=unnamed/{named}")
    synced = any("isogain.sync" in c.words for c in later)
    return (*words, *SHORT, *([] if synced else ["logger=csv"]))


def ends(words: list[str]) -> list[str]:
    """Of every swept key the first and the last value, whether the command sweeps it or its experiment does."""
    swept = [w.partition("=")[::2] for w in words if re.fullmatch(r"[\w.]+=[^\[]*,.*", w)]
    for name in [w.partition("=")[2] for w in words if w.startswith("experiment=")]:
        sweeper = yaml.safe_load((ROOT / f"conf/experiment/{name}.yaml").read_text())["hydra"][
            "sweeper"
        ]
        if "n_trials" in sweeper:
            return [*words, "hydra.sweeper.n_trials=2"]
        swept += [(key, str(value)) for key, value in sweeper["params"].items()]
    short = {key: [values.split(",")[i] for i in (0, -1)] for key, values in swept}
    kept = [word for word in words if word.partition("=")[0] not in short]
    return [*kept, *(f"{key}={','.join(values)}" for key, values in short.items())]


def ended(cwd: Path, words: tuple[str, ...]) -> None:
    """Run `python WORDS` to its end, which must be a good one; a server until it has answered."""
    log = cwd / "log.txt"
    log.unlink(missing_ok=True)
    first = words[0] if words[0] == "-m" else str(ROOT / words[0])
    wandb = {k: v for k, v in os.environ.items() if k.startswith("WANDB_") or k == "HOME"}
    wandb |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}  # the fork server may be older
    process = forked.python(cwd, log, first, *words[1:], **wandb)
    if "isogain.board" in words and not {"--static", "--help"} & set(words):
        answers(process, log)
    process.join(PATIENCE)
    process.kill()
    printed = log.read_text()
    assert process.exitcode == 0, f"{' '.join(words)}\n{printed[-3000:]}"
    if words[-1] == "--help":
        assert all(word in printed for word in words[:-1] if word.startswith("--")), words


def answers(process: ForkServerProcess, log: Path) -> None:
    """Wait for the address that the board prints, open it, and end it as Ctrl-C does."""
    until = time.monotonic() + PATIENCE
    while not (address := re.search(r"http://\S+", log.read_text() if log.exists() else "")):
        assert process.is_alive() and time.monotonic() < until, "no address"
        time.sleep(0.05)
    assert b"<html" in urlopen(address[0], timeout=PATIENCE).read()
    os.kill(process.pid, signal.SIGINT)
