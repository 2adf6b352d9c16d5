"""Two processes from the command line: one run, in one folder, that learns what one process would."""

import os
import signal
import time
from pathlib import Path

import forked
import pytest
from guards import PATIENCE
from runs import assert_close_metrics, assert_same_run, summary
from two_processes import ALONE, OPTIONS, TOGETHER

from isogain.record.attempts_jsonl import Attempts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]
OWN = {"seconds", "examples_per_second", "git"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """`two` processes, `one` with as many examples a step, and two that were `cut` by SIGTERM and resumed."""
    cwd = tmp_path_factory.mktemp("distributed")
    both = forked.started(cwd / "two.log", *OPTIONS, *TOGETHER, f"out={cwd}/two")
    one = forked.started(cwd / "one.log", *OPTIONS, *ALONE, f"out={cwd}/one")
    one.join(PATIENCE), both.join(PATIENCE)
    cut = (*OPTIONS, *TOGETHER, f"out={cwd}/cut")
    process = forked.started(cwd / "cut.log", *cut, forked.PAUSE % 0.1)
    end = time.monotonic() + PATIENCE
    while "epoch  1" not in said(cwd / "cut") and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)  # rank zero alone
    process.join(PATIENCE)
    resumed = forked.started(cwd / "resumed.log", *cut, "resume=true")
    resumed.join(PATIENCE)
    codes = [each.exitcode for each in (both, one, process, resumed)]
    assert codes == [0, 0, 143, 0], "".join(log.read_text() for log in cwd.glob("*.log"))
    return cwd


def said(folder: Path) -> str:
    return (folder / "log.txt").read_text() if (folder / "log.txt").exists() else ""


def test_two_processes_learn_what_one_with_the_same_examples_a_step_learns(folders):
    assert_close_metrics(folders / "one", folders / "two")


def test_validation_and_test_of_two_processes_count_every_example_once(folders):
    one, two = summary(folders / "one"), summary(folders / "two")
    for name in ("val/loss", "test/loss", "train/loss"):
        assert two[name] == pytest.approx(one[name], rel=1e-5)
    assert one.keys() - OWN == two.keys() - OWN


def test_one_of_two_processes_speaks_and_writes(folders):
    log = said(folders / "two")
    assert log.count("  model ") == log.count("epoch  3") == log.count("  status ") == 1
    assert log.splitlines()[-1].strip() == f"folder             {folders}/two"
    printed = (folders / "two.log").read_text()
    assert printed.count("  model ") == 1 and "Warning" not in printed and "rank" not in printed
    assert [event["event"] for event in Attempts(folders / "two").events()] == ["start", "end"]


def test_two_processes_save_at_the_same_step_and_go_on_bitwise(folders):
    assert_same_run(folders / "two", folders / "cut")
    events = Attempts(folders / "cut").events()
    assert [event["event"] for event in events] == ["start", "end", "start", "end"]
    assert events[1]["status"] == "interrupted" and events[1]["step"] == events[2]["step"] >= 10
    told = f"interrupted at step {events[1]['step']} by SIGTERM"
    assert (folders / "cut.log").read_text().count(told) == 1
