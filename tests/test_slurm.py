"""Sweeps on a real SLURM: one array, every point accounted for, and nothing lost to what a cluster does to a job."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import CONF, SMALL, metrics, small_run

import isogain

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
TRAIN = CONF.parent / "train.py"
LONG = (
    *SMALL,
    *(f"callbacks.{name}.every=90" for name in ("gap", "weights", "gradients", "jacobian")),
    "trainer.limit_train_batches=100",
    "trainer.max_epochs=12",
)
SUBMITTED = ("cluster=slurm", "hydra.launcher.timeout_min=60", "trainer.accelerator=cpu")


def hazard(**options: float) -> str:
    said = "".join(f", {name}: {value}" for name, value in options.items())
    return f"+callbacks.hazard={{_target_: hazards.Hazard, seed: ${{seed}}{said}}}"


def asked(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def cluster() -> None:
    if not shutil.which("sbatch"):
        pytest.skip("there is no sbatch: `tests/slurm/up` (as root) installs and starts a SLURM")
    if "is UP" not in asked("scontrol", "ping"):
        pytest.skip("no SLURM answers: `tests/slurm/up` (as root) starts one")
    if "node1" not in asked("sinfo", "--noheader", "--Node", "--format", "%N"):
        pytest.skip(
            "this SLURM is not the one of tests/slurm/up, and its nodes are not ours to use"
        )


def started(cwd: Path, *arguments: str) -> subprocess.Popen:
    paths = f"{Path(isogain.__file__).parents[1]}:{Path(__file__).parent}"
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TRAIN), "-m", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, env=env, text=True, **pipes)


def events(run: Path) -> list[dict]:
    path = run / "attempts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def nine(tmp_path_factory) -> tuple[Path, str, str, int]:
    """Nine seeds, of which one raises and one is killed: the sweep's folder, what was said, and the exit code."""
    cwd = tmp_path_factory.mktemp("nine")
    bad = hazard(raises=3, killed=5)
    quick = ("trainer.max_epochs=1", "hydra.launcher.mem_gb=1", "out=sweep")
    parent = started(cwd, *SMALL, *SUBMITTED, *quick, bad, "seed=range(9)")
    out, err = parent.communicate(timeout=120)
    return cwd / "sweep", out, err, parent.returncode


def test_every_other_point_of_a_sweep_finishes(nine):
    folder, *_ = nine
    found = {n: folder / str(n) / "summary.json" for n in range(9)}
    statuses = {n: json.loads(f.read_text())["status"] for n, f in found.items() if f.exists()}
    assert statuses == {n: "failed" if n == 3 else "finished" for n in range(9) if n != 5}


def test_the_parent_tells_each_point_that_went_wrong_in_one_line(nine):
    _, out, err, code = nine
    assert err.splitlines() == [
        "error: point 3 (seed=3): failed: RuntimeError: a hazard of the third step",
        "error: point 5 (seed=5): lost: it ended without a summary",
        "error: python -m isogain.status sweep has them all",
    ]
    assert code == 1 and "Traceback" not in out
    assert "9 points: 7 finished, 1 failed, 1 lost; in sweep" in out


def test_a_sweep_longer_than_an_array_may_be_is_several_that_are_all_queued(nine):
    _, out, *_ = nine
    most = int(asked("sh", "-c", "scontrol show config | sed -n 's/^MaxArraySize *= //p'"))
    (line,) = [line for line in out.splitlines() if "9 points in sweep, SLURM job" in line]
    assert len(line.partition("SLURM job")[2].lstrip("s").split()) == -(-9 // most)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory) -> Iterator[Path]:
    """Twice the same run: one warned by USR2, one preempted by a more urgent job; their parent killed on the way."""
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
    jobs = [events(run)[0]["slurm_job"] for run in runs]
    asked("scancel", "--signal=USR2", jobs[0])
    node = asked("squeue", "--noheader", "--jobs", jobs[1], "--format", "%N")
    urgent = (
        "--partition=urgent",
        "--nodelist=" + node,
        "--mem=5G",
        "--output=/dev/null",
        "--wrap=true",
    )
    asked("sbatch", "--job-name=urgent", *urgent)
    until(lambda: all((run / "summary.json").exists() for run in runs), 100)
    yield cwd / "sweep"
    parent.communicate()


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
