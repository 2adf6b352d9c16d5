"""A run that is killed thirty times, anywhere, ends bitwise as if nobody had touched it."""

import os
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import forked
import pytest
import torch
from guards import PATIENCE
from runs import assert_same_run, checkpoint, summary

from isogain.record.attempts_jsonl import Attempts

KILLS, SLURM_FROM = 30, 15  # the later attempts are those of a job that SLURM requeues
JOB = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "chaos"}
GENTLE = (signal.SIGTERM, signal.SIGUSR2)
OPTIONS = (
    *("model.hidden=6", "reg=manifold", "reg.gain=learned"),
    *("data=adding", "data.T=6", "data.batches=20", "data.batch_size=8"),
    *("data.eval_examples=40", "data.eval_batch_size=4", "logger=csv"),
    *("callbacks=full", "callbacks.jacobian.every=7", "callbacks.gradients.every=3"),
    *("callbacks.curvature.every=30", "callbacks.curvature.examples=8"),
    *("trainer.max_epochs=25", "trainer.accumulate_grad_batches=2", "trainer.accelerator=cpu"),
    "trainer.log_every_n_steps=4",
)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]


def parts(out: Path) -> list[Path]:
    return list(out.glob("checkpoints/.*.part"))


def wait_for_a_checkpoint(out: Path, process: ForkServerProcess) -> None:
    """Until one is being written."""
    end = time.monotonic() + 5
    while process.is_alive() and time.monotonic() < end and not parts(out):
        time.sleep(0.0002)


def kill(draw: random.Random, process: ForkServerProcess, by: signal.Signals, job: dict) -> None:
    """Send the signal, and SIGKILL where SLURM would: it does not wait for a run to end."""
    os.kill(process.pid, by)
    if job and by in GENTLE:
        process.join(draw.uniform(0.0, 0.4))
        process.kill()
    process.join(PATIENCE)
    assert process.exitcode in {128 + by, -by, *([-signal.SIGKILL] if job else [])}


def test_a_run_killed_thirty_times_ends_bitwise_as_if_it_had_not_been(tmp_path):
    draw = random.Random(seed := random.randrange(2**32))
    print(f"seed {seed}")
    whole, cut, log = tmp_path / "whole", tmp_path / "cut", tmp_path / "log"
    forked.started(log, *OPTIONS, f"out={whole}").join(PATIENCE)
    torn = 0
    for i in range(KILLS):
        job = JOB if i >= SLURM_FROM else {}
        options = (forked.PAUSE % 0.025, f"out={cut}", f"resume={i <= SLURM_FROM}")
        process = forked.started(log, *OPTIONS, *options, **job)
        by = draw.choice([signal.SIGKILL, *GENTLE])
        time.sleep(draw.uniform(0.0, 1.2))
        if i % 3 == 0:
            wait_for_a_checkpoint(cut, process)
            by = signal.SIGKILL
        assert process.is_alive(), log.read_text()[-2000:]
        kill(draw, process, by, job)
        torn += len(parts(cut)) > 0
    last = forked.started(log, *OPTIONS, f"out={cut}", "resume=true")
    last.join(PATIENCE)
    assert last.exitcode == 0, log.read_text()[-2000:]
    assert "Traceback" not in log.read_text()
    print(torn, "torn;", [(e["event"][0], e["step"]) for e in Attempts(cut).events()])
    assert torn > 0
    assert_same_run(whole, cut)
    assert_same_best(whole, cut)
    assert_nothing_saved_is_lost(cut)


def assert_same_best(a: Path, b: Path) -> None:
    first, second = checkpoint(a, "best"), checkpoint(b, "best")
    assert first["global_step"] == second["global_step"]
    torch.testing.assert_close(first["state_dict"], second["state_dict"], rtol=0, atol=0)
    told = ("status", "steps", "epochs", "test/loss", "val/loss", "epoch_best", "gap/worst")
    assert [summary(a)[name] for name in told] == [summary(b)[name] for name in told]


def assert_nothing_saved_is_lost(out: Path) -> None:
    """Each attempt begins where the one before it has saved, or later."""
    saved = 0
    for event in Attempts(out).events():
        if event["event"] == "start":
            assert event["step"] >= saved
        saved = max(saved, event["step"])
