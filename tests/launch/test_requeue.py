"""The command line, run again by SLURM or by a user: it goes on where it was, and repeats nothing that is done."""

import os
import signal
import time
from pathlib import Path

import forked
import pytest
from cases import slow_but
from guards import PATIENCE
from runs import assert_same_run, metrics, summary

from isogain.record.attempts_jsonl import Attempts

pytestmark = pytest.mark.usefixtures("fork_server")
JOB = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "points"}
OPTIONS = (
    *("model.hidden=6", "data=adding", "data.T=6", "data.batches=10", "data.batch_size=8"),
    *("data.eval_examples=40", "trainer.max_epochs=3", "trainer.accelerator=cpu", "logger=csv"),
)


def ran(log: Path, *arguments: str, **environment: str) -> int:
    process = forked.started(log, *OPTIONS, *arguments, **environment)
    process.join(PATIENCE)
    return process.exitcode


def killed(by: int, after: tuple[Path, str], log: Path, *arguments: str, **environment: str) -> int:
    """As `ran`, but sent a signal once there is such a text in such a file."""
    process = forked.started(log, *OPTIONS, *arguments, forked.PAUSE % 0.1, **environment)
    file, text = after
    while process.is_alive() and not (file.exists() and text in file.read_text()):
        time.sleep(0.005)
    assert process.is_alive(), log.read_text()[-2000:]
    os.kill(process.pid, by)
    process.join(PATIENCE)
    return process.exitcode


@pytest.mark.slow
def test_a_requeued_job_goes_on_by_itself_where_it_was(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    assert killed(signal.SIGKILL, (log, "epoch  2"), log, f"out={out}", **JOB) == -signal.SIGKILL
    assert ran(log, f"out={out}", **JOB) == 0
    assert "resuming from" in log.read_text()
    assert ran(log, f"out={tmp_path}/whole") == 0
    assert_same_run(tmp_path / "whole", out)
    assert Attempts(out).events()[1]["step"] >= 10


def test_another_job_and_a_user_do_not_take_a_run_that_is_there(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    assert ran(log, f"out={out}", **JOB) == 0
    before = (out / "summary.json").read_bytes()
    for environment in ({}, JOB | {"SLURM_JOB_ID": "78", "SLURM_RESTART_COUNT": "1"}):
        assert ran(log, f"out={out}", **environment) == 1
    assert log.read_text().count("holds a run already") == 2
    assert (out / "summary.json").read_bytes() == before


@pytest.mark.parametrize(("option", "job"), slow_but([((), JOB), (("resume=true",), {})], 0))
def test_a_run_that_is_done_is_not_repeated(tmp_path, option, job):
    out, log = tmp_path / "run", tmp_path / "log"
    assert ran(log, f"out={out}", **job) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != "log.txt"}
    assert ran(log, f"out={out}", *option, **job) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert f"{out}: finished already" in log.read_text()


def test_a_run_that_is_done_goes_on_where_more_is_asked_of_it(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    assert ran(log, f"out={out}") == 0
    assert ran(log, f"out={out}", "resume=true", "trainer.max_epochs=4") == 0
    assert summary(out)["epochs"] == 4


@pytest.mark.slow
def test_sigterm_ends_a_sweep_and_resume_runs_what_is_missing(tmp_path):
    out, log = tmp_path / "sweep", tmp_path / "log"
    sweep = ("-m", "seed=0,1,2", f"out={out}")
    assert killed(signal.SIGTERM, (out / "1" / "log.txt", "epoch  1"), log, *sweep) == 143
    said = log.read_text()
    assert said.splitlines()[-1].endswith(f"the same command with out={out} resume=true goes on")
    assert "Traceback" not in said and not (out / "2").exists()
    first = (out / "0" / "metrics.csv").stat().st_mtime_ns
    assert ran(log, *sweep, forked.PAUSE % 0.1, "resume=true") == 0
    assert [summary(out / str(point))["status"] for point in range(3)] == ["finished"] * 3
    assert (out / "0" / "metrics.csv").stat().st_mtime_ns == first
    assert len(metrics(out / "1")) == len(metrics(out / "2"))


def test_a_failure_while_the_run_is_built_is_on_record_with_its_traceback(tmp_path):
    out, log = tmp_path / "sweep", tmp_path / "log"
    broken = "+callbacks.broken={_target_:forked.Broken}"
    assert ran(log, "-m", "seed=0,1", f"out={out}", broken) == 1
    for point in ("0", "1"):
        events = Attempts(out / point).events()
        assert [event["event"] for event in events] == ["start", "end"]
        assert events[-1]["error"] == summary(out / point)["error"] == "ZeroDivisionError: broken"
        assert "Traceback" in (out / point / "log.txt").read_text()


def test_sigterm_before_training_ends_a_run_that_resume_begins(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    slow = "+callbacks.slow={_target_:forked.SlowSetup}"
    assert killed(signal.SIGTERM, (log, "setting up"), log, f"out={out}", slow) == 143
    assert summary(out)["status"] == Attempts(out).events()[-1]["status"] == "interrupted"
    assert ran(log, f"out={out}", "resume=true") == 0
