"""Sweeps on a real SLURM: one array, every point accounted for, and nothing lost to what a cluster does to a job."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from guards import PATIENCE
from jobs import SUBMITTED, TRAIN, asked, events, hazard, judged, started, states, until
from runs import SMALL, metrics, small_run

from isogain.analysis.status import rerun

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("slurm_lab")]
LONG = (
    *SMALL,
    *(f"callbacks.{name}.every=90" for name in ("gap", "weights", "gradients", "jacobian")),
    "trainer.limit_train_batches=100",
    "trainer.max_epochs=12",
)


class Nine(NamedTuple):
    """Nine seeds, of which one raises and one is killed: what the parent said, and what status says on the way."""

    folder: Path
    out: str
    err: str
    code: int
    early: dict[str, str]
    late: dict[str, str]
    rerun: list[str]  # the command that status prints at the end


@pytest.fixture(scope="module")
def nine(tmp_path_factory) -> Nine:
    cwd = tmp_path_factory.mktemp("nine")
    bad = hazard(raises=3, killed=5)
    quick = ("trainer.max_epochs=1", "hydra.launcher.mem_gb=1", f"out={cwd}/sweep")
    parent = started(cwd, *SMALL, *SUBMITTED, *quick, bad, "seed=range(9)")
    until(lambda: any(events(cwd / "sweep" / str(n)) for n in range(9)))
    early = states(cwd / "sweep")
    out, err = parent.communicate(timeout=PATIENCE)
    late = judged(cwd / "sweep")
    (line,) = rerun.commands(late)
    said = {run.name: run.state for run in late.runs}
    return Nine(cwd / "sweep", out, err, parent.returncode, early, said, shlex.split(line))


def test_every_other_point_of_a_sweep_finishes(nine):
    found = {n: nine.folder / str(n) / "summary.json" for n in range(9)}
    statuses = {n: json.loads(f.read_text())["status"] for n, f in found.items() if f.exists()}
    assert statuses == {n: "failed" if n == 3 else "finished" for n in range(9) if n != 5}


def test_the_parent_tells_each_point_that_went_wrong_in_one_line(nine):
    assert nine.err.splitlines() == [
        "error: point 3 (seed=3): failed: RuntimeError: a hazard of the third step",
        "error: point 5 (seed=5): lost: it ended without a summary",
        f"error: python -m isogain.status {nine.folder} has them all",
    ]
    assert nine.code == 1 and "Traceback" not in nine.out
    assert f"9 points: 7 finished, 1 failed, 1 lost; in {nine.folder}" in nine.out


def test_a_sweep_longer_than_an_array_may_be_is_several_that_are_all_queued(nine):
    most = int(asked("sh", "-c", "scontrol show config | sed -n 's/^MaxArraySize *= //p'"))
    (line,) = [line for line in nine.out.splitlines() if ", SLURM job" in line]
    assert len(line.partition("SLURM job")[2].lstrip("s").split()) == -(-9 // most)


def test_status_tells_jobs_that_run_from_those_that_wait(nine):
    assert set(nine.early) == {str(n) for n in range(9)}
    assert "running" in nine.early.values() and "pending" in nine.early.values()
    assert set(nine.early.values()) <= {"running", "pending", "done", "failed", "lost"}


def test_status_at_the_end_counts_what_the_parent_counts(nine):
    assert Counter(nine.late.values()) == {"done": 7, "failed": 1, "lost": 1}
    assert nine.late["3"] == "failed" and nine.late["5"] == "lost"


def test_the_command_that_status_prints_runs_again_what_failed_and_was_lost_and_nothing_else(nine):
    assert nine.rerun[:3] == ["python", str(TRAIN), "-m"]
    again = started(nine.folder.parent, *nine.rerun[3:])
    out, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0 and not err and "2 points in" in out, out + err
    assert Counter(states(nine.folder).values()) == {"done": 9}
    starts = {
        n: [e["event"] for e in events(nine.folder / str(n))].count("start") for n in range(9)
    }
    assert starts == {n: 2 if n in (3, 5) else 1 for n in range(9)}


@pytest.fixture(scope="module")
def orphaned(tmp_path_factory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Twice the same run: one warned by USR2, one preempted by a more urgent job; their parent killed on the way.

    The sweep's folder, and what status says after the kill.
    """
    cwd = tmp_path_factory.mktemp("interrupted")
    slow, alone = hazard(pause=0.025), "hydra.launcher.mem_gb=5"  # a node each
    parent = started(cwd, *LONG, *SUBMITTED, slow, alone, "init.gain=1.0,1.00", "out=sweep")
    runs = [cwd / "sweep" / n for n in "01"]
    until(
        lambda: all(
            (run / "log.txt").exists() and "epoch  2" in (run / "log.txt").read_text()
            for run in runs
        )
    )
    parent.kill()
    said = states(cwd / "sweep")
    jobs = [events(run)[0]["slurm_job"] for run in runs]
    asked("scancel", "--signal=USR2", jobs[0])
    until(lambda: states(cwd / "sweep")["0"] == "preempted")
    node = asked("squeue", "--noheader", "--jobs", jobs[1], "--format", "%N")
    urgent = (
        "--partition=urgent",
        "--nodelist=" + node,
        "--mem=5G",
        "--output=/dev/null",
        "--wrap=true",
    )
    asked("sbatch", "--job-name=urgent", *urgent)
    until(lambda: all((run / "summary.json").exists() for run in runs))
    yield cwd / "sweep", said
    parent.communicate()


@pytest.fixture(scope="module")
def interrupted(orphaned) -> Path:
    return orphaned[0]


def test_jobs_go_on_without_the_parent_and_status_knows(orphaned):
    folder, said = orphaned
    assert said == {"0": "running", "1": "running"}
    assert states(folder) == {"0": "done", "1": "done"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    small_run(out, *LONG, "trainer.accelerator=cpu")
    return out


def test_a_warned_job_saves_and_goes_on_after_the_step_that_it_saved(interrupted):
    warned = events(interrupted / "0")
    assert [event["event"] for event in warned] == ["start", "preempted", "start", "end"]
    assert warned[1]["signal"] == "SIGUSR2"
    assert warned[2]["step"] == warned[1]["step"] > 0


def test_a_preempted_job_comes_back_where_it_was_saved(interrupted):
    starts = [event for event in events(interrupted / "1") if event["event"] == "start"]
    assert len(starts) == 2 and starts[1]["step"] > 100
    assert starts[0]["slurm_job"] == starts[1]["slurm_job"]


@pytest.mark.parametrize("run", ["0", "1"])
def test_an_interrupted_run_ends_bitwise_as_the_uninterrupted_one(interrupted, whole, run):
    run = interrupted / run
    assert metrics(run) == metrics(whole)
    found, expected = (
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (run, whole)
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with np.load(run / "spectra.npz") as a, np.load(whole / "spectra.npz") as b:
        assert a.files == b.files
        assert all(np.array_equal(a[name], b[name]) for name in b.files)
