"""A folder goes on with what lies in it, or is refused with the difference and left as it was; by the command line."""

import json
import shutil
from pathlib import Path

import forked
import pytest
import yaml
from cases import slow_but
from guards import PATIENCE
from runs import metrics, summary

pytestmark = pytest.mark.usefixtures("fork_server")
OPTIONS = (
    *("model.hidden=6", "data=adding", "data.T=6", "data.batches=10", "data.batch_size=8"),
    *("data.eval_examples=40", "trainer.accelerator=cpu", "logger=csv", "callbacks=minimal"),
)
JOB = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "points"}


def ran(log: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    log.unlink(missing_ok=True)
    process = forked.started(log, *OPTIONS, *arguments, **environment)
    process.join(PATIENCE)
    return process.exitcode, log.read_text()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    assert ran(out.parent / "log", f"out={out}", "trainer.max_epochs=2", **JOB)[0] == 0
    return out


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sweep") / "sweep"
    points = ("-m", "init.gain=1", "seed=0,1", "trainer.max_epochs=1", f"out={out}")
    assert ran(out.parent / "log", *points)[0] == 0
    return out


@pytest.fixture
def copied(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.mark.parametrize(
    ("option", "difference"),
    [
        ("init.gain=2", "init.gain: 1.0 there, 2 here;"),
        ("reg=none", "reg._target_: isogain.reg.penalty.Soft there, "),
        ("trainer.precision=bf16-mixed", "trainer.precision: 32-true there, bf16-mixed here;"),
        ("trainer.max_epochs=1", "it has 2 epochs behind it, more than trainer.max_epochs=1;"),
    ],
)
@pytest.mark.parametrize("how", slow_but(["resumed", "requeued"], 1))
def test_another_run_is_refused_in_a_line_and_nothing_is_touched(
    run, tmp_path, option, difference, how
):
    before = contents(run)
    resume, environment = (["resume=true"], {}) if how == "resumed" else ([], JOB)
    options = ("trainer.max_epochs=2", option, f"out={run}", *resume)
    code, text = ran(tmp_path / "log", *options, **environment)
    assert code == 1 and text.count("\n") == 1 and text.startswith(f"error: out={run}: ")
    assert difference in text and f"ckpt={run}/checkpoints/last.ckpt" in text
    assert contents(run) == before


def test_what_may_differ_is_mentioned_and_a_run_that_is_over_is_left(run, tmp_path):
    options = ("trainer.max_epochs=2", "trainer.log_every_n_steps=7", f"out={run}", "resume=true")
    code, text = ran(tmp_path / "log", *options)
    assert code == 0 and text.splitlines()[-1].endswith("finished already")
    assert "changes no step: trainer.log_every_n_steps: 50 there, 7 here" in text


def test_a_run_goes_on_to_a_later_end_and_says_what_its_schedule_does(copied, tmp_path):
    options = ("trainer.max_epochs=4", f"out={copied}", "resume=true")
    code, text = ran(tmp_path / "log", *options)
    assert code == 0 and "trainer.max_epochs: 2 there, 4 here; optim.schedule=cosine goes" in text
    assert summary(copied)["epochs"] == 4 and int(metrics(copied)[-1]["step"]) == 40


def test_a_checkpoint_beyond_the_new_end_is_refused_without_a_summary_too(copied, tmp_path):
    (copied / "summary.json").unlink()
    before = contents(copied)
    code, text = ran(tmp_path / "log", "trainer.max_epochs=1", f"out={copied}", "resume=true")
    assert code == 1 and text.splitlines()[-1].startswith("error: ") and "2 epochs behind" in text
    del before["log.txt"]
    assert before.items() <= contents(copied).items()


def test_a_folder_of_the_old_tree_goes_on(copied, tmp_path):
    """Old names of classes, and options that were not there yet."""
    config = yaml.safe_load((copied / "config.yaml").read_text())
    config["reg"]["_target_"] = "isogain.reg.penalty.Penalty"
    for group, name in (("reg", "onset"), ("optim", "gain_lr")):
        del config[group][name]
    del config["objective"]
    (copied / "config.yaml").write_text(yaml.safe_dump(config))
    code, text = ran(tmp_path / "log", "trainer.max_epochs=2", f"out={copied}", "resume=true")
    assert code == 0 and text == f"{copied}: finished already\n"


@pytest.mark.parametrize("text", slow_but(["seed: [", "- 1\n", "\0\0", None], 0))
def test_checkpoints_of_nobody_knows_which_run_are_not_gone_on_with(copied, tmp_path, text):
    (copied / "config.yaml").unlink() if text is None else (copied / "config.yaml").write_text(text)
    code, said = ran(tmp_path / "log", "trainer.max_epochs=3", f"out={copied}", "resume=true")
    assert code == 1 and "is not known (config.yaml: " in said and said.count("\n") == 1
    shutil.rmtree(copied / "checkpoints")
    assert ran(tmp_path / "log", "trainer.max_epochs=1", f"out={copied}", "resume=true")[0] == 0


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (
            ("init.gain=2", "seed=0,1"),
            ["out={out}: holds another sweep: init.gain: 1 there, 2 here; choose another out="],
        ),
        (
            ("init.gain=1", "seed=0,2"),
            ["point 1 (seed=2): seed: 1 there, 2 here", "out={out}: holds another sweep: choose"],
        ),
        (("init.gain=1", "seed=0"), ["out={out}: holds a sweep over other points: 2 points there"]),
    ],
)
@pytest.mark.parametrize("begun", slow_but([True, False], 0))
@pytest.mark.slow
def test_another_sweep_is_refused_before_its_first_point(sweep, tmp_path, options, lines, begun):
    out = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    for point in ("0", "1") if not begun else ():
        shutil.rmtree(out / point)
    before = contents(out)
    said = ("-m", *options, "trainer.max_epochs=1", f"out={out}", "resume=true")
    code, text = ran(tmp_path / "log", *said)
    expected = [f"error: {line}".format(out=out) for line in lines]
    assert code == 1 and contents(out) == before
    for line, start in zip(text.splitlines(), expected, strict=True):
        assert line.startswith(start)


def test_a_sweep_that_is_asked_for_more_goes_on_at_every_point(sweep, tmp_path):
    out = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    said = ("-m", "init.gain=1.0", "seed=0,1", f"out={out}", "resume=true")
    code, text = ran(tmp_path / "log", *said, "trainer.max_epochs=1")
    assert code == 0 and "2 of 2 points are over; 0 go on" in text
    code, text = ran(tmp_path / "log", *said, "trainer.max_epochs=2")
    assert code == 0 and "0 of 2 points are over; 2 go on" in text
    assert [summary(out / point)["epochs"] for point in ("0", "1")] == [2, 2]
    listed = json.loads((out / "sweep.json").read_text())["points"]
    assert all("trainer.max_epochs=2" in point["overrides"] for point in listed)


MISSING = ("hydra/sweeper=missing",)


@pytest.fixture
def lost(sweep, tmp_path) -> Path:
    """The sweep, its second point lost."""
    out = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    (out / "1" / "summary.json").unlink()
    (out / "1" / "attempts.jsonl").unlink()
    shutil.rmtree(out / "1" / "checkpoints")
    (out / "1" / "config.yaml").unlink()
    return out


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (("init.gain=2",), "init.gain=2: point 0 of {out} has init.gain: 1 there, 2 here"),
        (("seed=2,3",), "seed=2,3: point 0 of {out} has seed: 0 there, 2 here"),
        (("reg=none",), "reg=none: point 0 of {out} has reg._target_: "),
    ],
)
@pytest.mark.parametrize("complete", slow_but([True, False], 1))
def test_missing_refuses_what_its_points_are_not(
    sweep, lost, tmp_path, words, difference, complete
):
    out = sweep if complete else lost
    before = contents(out)
    code, text = ran(tmp_path / "log", "-m", f"out={out}", *MISSING, *words)
    assert code == 1 and text.startswith(f"error: {difference.format(out=out)}")
    assert text.count("\n") == 1 and contents(out) == before


@pytest.mark.parametrize(
    "words",
    slow_but([((),), (("init.gain=1", "seed=0,1"),), (("init.gain=1.0", "reg.strength=1e-3"),)], 2),
)
def test_missing_runs_the_points_whose_words_are_said_again(lost, tmp_path, words):
    code, _ = ran(tmp_path / "log", "-m", f"out={lost}", *MISSING, *words)
    assert code == 0 and summary(lost / "1")["status"] == "finished"


def test_missing_mentions_what_would_not_change_a_result(lost, tmp_path):
    code, text = ran(tmp_path / "log", "-m", f"out={lost}", *MISSING, "trainer.max_epochs=9")
    assert code == 0 and "trainer.max_epochs=9: without effect, points run as they are" in text
    assert summary(lost / "1")["epochs"] < 9


def test_missing_does_not_go_on_with_a_run_that_is_not_its_point(sweep, tmp_path):
    out = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    (out / "1" / "summary.json").unlink()
    start, *_ = (out / "1" / "attempts.jsonl").read_text().splitlines(keepends=True)
    (out / "1" / "attempts.jsonl").write_text(start)  # by a process that is gone
    text = (out / "1" / "config.yaml").read_text()
    (out / "1" / "config.yaml").write_text(text.replace("hidden: 6", "hidden: 7"))
    before = contents(out)
    code, said = ran(tmp_path / "log", "-m", f"out={out}", *MISSING)
    assert code == 1 and "model.hidden: 7 there, 6 here" in said and contents(out) == before
