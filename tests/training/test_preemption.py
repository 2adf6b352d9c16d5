"""What becomes of a run that is told of its end, by each signal and at every moment."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from cases import covering, slow_but
from runs import assert_same_run, checkpoint, small_run, summary

from isogain.callbacks.save_on_signal import SaveOnWarning
from isogain.config.errors import Interrupted, Preempted
from isogain.record.attempts_jsonl import Attempts
from isogain.training.preemption import Warnings, in_a_batch_job

TERM, USR1, USR2 = signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2
HOOKS = {  # where a signal comes, at which step; the step at which the run is saved
    ("on_train_start", 0): 0,  # nothing to save
    ("on_train_batch_start", 0): 1,
    ("on_train_batch_start", 3): 4,
    ("on_train_batch_end", 5): 5,
    ("on_train_batch_start", 5): 6,  # the last of the epoch: after the validation
    ("on_validation_batch_start", 12): 12,
    ("on_train_epoch_end", 12): 12,
    ("on_save_checkpoint", 12): 12,
}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Not in a job of SLURM, unless a test says so."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SUBMITIT_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def in_slurm(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """Handlers that a test puts in are taken out again."""
    before = {signum: signal.getsignal(signum) for signum in (TERM, USR1, USR2)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


class Send(pl.Callback):
    """Sends this process `signals` in the hook `hook` of step `at`, once each."""

    def __init__(self, hook: str, at: int, *signals: int) -> None:
        self.at, self.signals, self.saved = at, list(signals), []
        setattr(self, hook, self._send)

    def _send(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.at and self.signals:
            os.kill(os.getpid(), self.signals.pop(0))


def warned_run(out: Path, *overrides: str, send: pl.Callback | None = None) -> dict[str, Any]:
    """A small run as `launch.job` does it, which is sent signals."""
    with Warnings(Attempts(out)) as noted:
        extra = {"send": send} if send else {}
        return small_run(out, *overrides, extra=extra | {"preemption": SaveOnWarning(noted)})


def saved_step(out: Path) -> int:
    return checkpoint(out)["global_step"] if (out / "checkpoints").exists() else 0


def events(out: Path) -> list[tuple[Any, ...]]:
    """What is on record beside the start: the event, its step, and the signal or status."""
    return [
        (event["event"], event["step"], event.get("signal") or event.get("status"))
        for event in Attempts(out).events()
        if event["event"] != "start"
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    small_run(out)
    return out


@pytest.mark.parametrize(
    ("moment", "signum"), slow_but([(m, s) for m in HOOKS for s in (TERM, USR2)], 0, 4, 11)
)
def test_outside_slurm_a_run_saves_ends_says_how_to_go_on_and_goes_on_bitwise(
    whole, tmp_path, moment, signum
):
    out, step = tmp_path / "run", HOOKS[moment]
    with pytest.raises(Interrupted) as told:
        warned_run(out, send=Send(*moment, signum))
    assert told.value.code == 128 + signum
    line = f"interrupted at step {step} by {signum.name}; the same command with out={out} resume=true goes on"
    assert str(told.value) == summary(out)["error"] == line
    assert saved_step(out) == step
    assert events(out) == [("end", step, "interrupted")]
    warned_run(out, "resume=true")
    assert_same_run(whole, out)
    assert [e["step"] for e in Attempts(out).events() if e["event"] == "start"] == [0, step]


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_validation_batch_start"])
def test_in_slurm_a_run_saves_at_every_sigterm_and_trains_on(whole, tmp_path, in_slurm, hook):
    out, saved = tmp_path / "run", []

    class Look(pl.Callback):
        def on_save_checkpoint(self, trainer: pl.Trainer, *args: Any) -> None:
            saved.append(trainer.global_step)

    class SendTwice(Look, Send):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            if trainer.global_step == 14:
                os.kill(os.getpid(), TERM)

    at, step = (7, 8) if hook == "on_train_batch_start" else (6, 6)
    assert warned_run(out, send=SendTwice(hook, at, TERM))["status"] == "finished"
    assert {step, 14} <= set(saved)
    assert events(out) == [
        ("preempted", step, "SIGTERM"),
        ("preempted", 14, "SIGTERM"),
        ("end", 18, "finished"),
    ]
    assert_same_run(whole, out)


def test_a_job_that_slurm_kills_after_its_warning_goes_on_where_it_saved(whole, tmp_path, in_slurm):
    out = tmp_path / "run"

    class Killed(Send):
        def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
            if trainer.global_step == 10:
                raise RuntimeError("killed")  # as far as the files are concerned

    with pytest.raises(RuntimeError):
        warned_run(out, send=Killed("on_train_batch_end", 8, TERM))
    assert checkpoint(out)["global_step"] == 8
    warned_run(out, "resume=true")
    assert_same_run(whole, out)


def test_sigterm_between_lightnings_handler_and_ours_does_not_end_a_job(whole, tmp_path, in_slurm):
    found = []

    class Early(Send):
        def on_train_start(self, trainer: pl.Trainer, *args: Any) -> None:
            found.append(type(signal.getsignal(TERM)).__module__)
            os.kill(os.getpid(), TERM)

    assert warned_run(tmp_path / "run", send=Early("unused", 0))["status"] == "finished"
    assert found[0].startswith("pytorch_lightning.")
    assert events(tmp_path / "run")[0] == ("preempted", 1, "SIGTERM")
    assert_same_run(whole, tmp_path / "run")


def test_sigusr1_saves_and_training_goes_on(whole, tmp_path):
    out, seen = tmp_path / "run", []

    class Look(Send):
        def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
            if trainer.global_step == 9:
                seen.append(checkpoint(out)["global_step"])

    warned_run(out, send=Look("on_train_batch_end", 8, USR1))
    assert seen == [8]
    assert events(out) == [("end", 18, "finished")]
    assert_same_run(whole, out)


def test_in_a_test_a_run_ends_at_once_and_is_tested_anew(whole, tmp_path):
    out = tmp_path / "run"
    several = ("trainer.limit_test_batches=2",)
    small_run(tmp_path / "other", *several)
    with pytest.raises(Interrupted) as told:
        warned_run(out, *several, send=Send("on_test_batch_start", 18, TERM))
    assert told.value.code == 143 and "test/acc" not in summary(out)
    assert warned_run(out, *several, "resume=true")["status"] == "finished"
    assert_same_run(tmp_path / "other", out)


def submitit(does: Callable[[], None]) -> list[Any]:
    """Puts in a handler as submitit does; the steps of last.ckpt at its calls are in the list."""
    calls = []

    def handler(signum: int, frame: Any) -> None:
        calls.append(signal.Signals(signum))
        does()

    signal.signal(USR2, handler)
    signal.signal(TERM, lambda *_: calls.append("bypassed"))
    return calls


@pytest.mark.parametrize(("hook", "at"), slow_but(HOOKS, 1, 4, 5))
def test_submitit_requeues_after_the_save_and_the_next_attempt_goes_on_bitwise(
    whole, tmp_path, in_slurm, as_it_was, hook, at
):
    out, step = tmp_path / "run", HOOKS[hook, at]
    saved = []
    calls = submitit(lambda: (saved.append(saved_step(out)), sys.exit(-1)))
    with pytest.raises(Preempted) as end:
        warned_run(out, send=Send(hook, at, USR2))
    assert end.value.requeued and end.value.code == -1
    assert calls == [USR2] and saved == [step]
    assert not (out / "summary.json").exists()
    assert events(out) == [("preempted", step, "SIGUSR2")]
    warned_run(out, "resume=true")
    assert_same_run(whole, out)


def test_where_submitit_does_not_requeue_the_run_is_interrupted_and_says_why(
    tmp_path, in_slurm, as_it_was
):
    def refuse() -> None:
        raise RuntimeError("Job not requeued because: timed-out too many times.")

    out, _ = tmp_path / "run", submitit(refuse)
    with pytest.raises(RuntimeError, match="timed-out too many times"):
        warned_run(out, send=Send("on_train_batch_end", 8, USR2))
    assert summary(out)["status"] == "interrupted"
    assert "by SIGUSR2 (Job not requeued because: timed-out too" in summary(out)["error"]
    assert events(out) == [("preempted", 8, "SIGUSR2"), ("end", 8, "interrupted")]


def test_a_process_that_submitit_leaves_to_rank_zero_ends_without_an_error(
    tmp_path, in_slurm, as_it_was
):
    submitit(lambda: None)
    with pytest.raises(Preempted) as end:
        warned_run(tmp_path / "run", send=Send("on_train_batch_end", 8, USR2))
    assert end.value.requeued and end.value.code == 0


def test_the_more_urgent_of_two_signals_is_answered(tmp_path, in_slurm, as_it_was):
    calls = submitit(lambda: sys.exit(-1))

    class Both(Send):
        def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
            if trainer.global_step == 8:
                for signum in (TERM, USR2, TERM):
                    os.kill(os.getpid(), signum)

    with pytest.raises(Preempted):
        warned_run(tmp_path / "run", send=Both("unused", 0))
    assert calls == [USR2]


@pytest.mark.parametrize("signum", [TERM, USR2])
def test_before_there_is_anything_to_save_a_run_ends_at_once(tmp_path, signum):
    with pytest.raises(Preempted) as end, Warnings(Attempts(tmp_path)):
        os.kill(os.getpid(), signum)
    assert (end.value.code, end.value.requeued) == (128 + signum, False)


def test_before_there_is_anything_to_save_submitit_requeues_at_once(tmp_path, in_slurm, as_it_was):
    calls = submitit(lambda: sys.exit(-1))
    with pytest.raises(Preempted) as end, Warnings(Attempts(tmp_path)):
        os.kill(os.getpid(), USR2)
    assert calls == [USR2] and end.value.requeued
    assert events(tmp_path) == [("preempted", 0, "SIGUSR2")]


def test_afterwards_every_signal_means_what_it_meant_before(tmp_path, as_it_was):
    submitit(lambda: None)
    before = {signum: signal.getsignal(signum) for signum in (TERM, USR1, USR2)}
    with suppress(Interrupted):
        warned_run(tmp_path / "run", send=Send("on_train_batch_end", 8, TERM))
    assert {signum: signal.getsignal(signum) for signum in before} == before


def test_a_forked_child_dies_of_sigterm_as_it_would_without_us(tmp_path):
    with Warnings(Attempts(tmp_path)) as noted:
        noted.defer()
        if (child := os.fork()) == 0:
            os.kill(os.getpid(), TERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -TERM
        assert noted.urgency() == 0


@pytest.mark.parametrize(
    ("option", "at"),
    covering(["trainer.accumulate_grad_batches=2", "+trainer.val_check_interval=3"], [4, 7]),
)
def test_a_save_lies_where_a_step_is_done_and_no_validation_comes_next(tmp_path, option, at):
    options = (option, "trainer.limit_train_batches=12", "trainer.max_epochs=2")
    small_run(tmp_path / "whole", *options)
    with pytest.raises(Interrupted):
        warned_run(tmp_path / "cut", *options, send=Send("on_train_batch_start", at, TERM))
    assert at < checkpoint(tmp_path / "cut")["global_step"] <= at + 3
    warned_run(tmp_path / "cut", *options, "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_without_a_callback_that_saves_a_warning_saves_all_the_same(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        warned_run(out, "~callbacks.checkpoints", send=Send("on_train_batch_end", 8, TERM))
    assert checkpoint(out)["global_step"] == 8


@pytest.mark.parametrize(("name", "batch"), [(None, True), ("isogain", True), ("bash", False)])
def test_a_job_in_which_a_user_works_is_no_batch_job(in_slurm, monkeypatch, name, batch):
    if name:
        monkeypatch.setenv("SLURM_JOB_NAME", name)
    assert in_a_batch_job() is batch
