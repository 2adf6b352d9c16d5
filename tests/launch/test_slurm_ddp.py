"""Two processes a job: one run that learns what one process would, requeued on the way, with nobody waiting for it."""

import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from guards import PATIENCE
from jobs import SUBMITTED, asked, events, hazard, started, states, until
from runs import SMALL, assert_close_metrics, small_run, summary
from two_processes import ALONE, OPTIONS, TOGETHER

ALL = (
    *SMALL,
    *OPTIONS,
    *(f"trainer.limit_{kind}_batches=1.0" for kind in ("train", "val", "test")),
)
pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("slurm_lab")]


class Left(NamedTuple):
    """The run, and what the parent said as Ctrl-C ended its waiting."""

    run: Path
    err: str
    code: int


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Left:
    """Two processes in one job: Ctrl-C to the parent, then a warning by USR2 to the job."""
    cwd = tmp_path_factory.mktemp("together")
    run, small = cwd / "sweep" / "0", "hydra.launcher.mem_gb=1"
    options = (*ALL, *TOGETHER, *SUBMITTED, small, hazard(pause=0.1))
    parent = started(cwd, *options, "seed=0", f"out={cwd}/sweep")
    until(lambda: (run / "log.txt").exists() and "epoch  1" in (run / "log.txt").read_text())
    parent.send_signal(signal.SIGINT)
    _, err = parent.communicate(timeout=PATIENCE)
    asked("scancel", "--signal=USR2", events(run)[0]["slurm_job"])
    until((run / "summary.json").exists)
    return Left(run, err, parent.returncode)


def test_ctrl_c_ends_the_waiting_in_a_line_and_no_job(left):
    told = f"no longer waiting; the jobs go on: python -m isogain.status {left.run.parent}"
    assert left.err.splitlines() == [told] and left.code == 130
    assert states(left.run.parent) == {"0": "done"}


def test_two_processes_in_a_job_are_requeued_as_one(left):
    told = events(left.run)
    assert [event["event"] for event in told] == ["start", "preempted", "start", "end"]
    assert told[1]["signal"] == "SIGUSR2" and told[2]["step"] == told[1]["step"] >= 10
    assert told[0]["slurm_job"] == told[2]["slurm_job"]
    assert (left.run / "log.txt").read_text().count("epoch  4") == 1


def test_two_processes_in_a_job_learn_what_one_with_the_same_examples_a_step_learns(left, tmp_path):
    small_run(tmp_path / "one", *ALL, *ALONE)
    assert_close_metrics(tmp_path / "one", left.run)
    for name in ("val/loss", "test/loss"):
        assert summary(left.run)[name] == pytest.approx(summary(tmp_path / "one")[name], rel=1e-5)
