"""When each attempt at a run began, was warned, and ended: readable whatever cut the last line short."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from isogain.record.attempts_jsonl import Attempts, slurm_job


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)


def test_events_are_kept_in_order_with_their_step(tmp_path):
    attempts = Attempts(tmp_path)
    attempts.start(0)
    attempts.preempted(signal.SIGTERM, 7)
    attempts.start(7)
    attempts.end("finished", 9)
    found = [(event["event"], event["step"]) for event in attempts.events()]
    assert found == [("start", 0), ("preempted", 7), ("start", 7), ("end", 9)]


def test_a_start_says_when_where_and_how_often(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    for _ in range(3):
        Attempts(tmp_path).start(0)
    event = Attempts(tmp_path).events()[-1]
    assert (event["pid"], event["slurm_job"], event["restart"]) == (os.getpid(), "12", 2)
    age = datetime.now(UTC) - datetime.fromisoformat(event["time"])
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_an_end_tells_its_error_in_one_line(tmp_path):
    Attempts(tmp_path).end("failed", 3, "ValueError: bad\nmore of it")
    Attempts(tmp_path).end("finished", 3)
    first, second = Attempts(tmp_path).events()
    assert first["error"] == "ValueError: bad" and "error" not in second


@pytest.mark.parametrize("left", [b'{"event": "sta', b"junk\n", b"\xff", b"3\n", b'{"a": 1}\n'])
def test_a_line_that_was_cut_short_is_passed_over_and_spoils_no_other(tmp_path, left):
    attempts = Attempts(tmp_path)
    attempts.start(0)
    with attempts.path.open("ab") as file:
        file.write(left)
    assert len(attempts.events()) == 1
    attempts.end("finished", 5)
    assert [event["event"] for event in attempts.events()] == ["start", "end"]
    assert json.loads(attempts.path.read_bytes().splitlines()[-1])["status"] == "finished"


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_rank_zero_alone_writes(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    Attempts(tmp_path).start(0)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(name, "0")
    Attempts(tmp_path).start(0)
    assert len(Attempts(tmp_path).events()) == 1


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "12"}, "12"),
        ({"SLURM_JOB_ID": "13", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}, "12_3"),
    ],
)
def test_a_job_of_an_array_is_named_by_array_and_task(monkeypatch, variables, job):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert slurm_job() == job


@pytest.mark.parametrize(
    ("first", "second", "restarts", "same"),
    [
        ("12", "12", None, True),
        ("12", "13", "1", False),
        (None, None, None, False),
        (None, "12", "1", False),
        ("unsaid", "12", "1", True),
        ("unsaid", "12", "0", False),
    ],
)
def test_a_job_is_requeued_if_it_made_the_last_attempt(
    tmp_path, monkeypatch, first, second, restarts, same
):
    """ "unsaid": it was killed before it could say that it began."""
    names = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT")
    for name, value in zip(names, (first, None), strict=True):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    if first != "unsaid":
        Attempts(tmp_path).start(0)
    for name, value in zip(names, (second, restarts), strict=True):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    assert Attempts(tmp_path).of_this_job() is same
