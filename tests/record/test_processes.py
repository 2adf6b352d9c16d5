"""A process is known by its boot and its start in clock ticks: neither comes again, whatever the clock shows."""

import ast
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from isogain.record import processes
from isogain.record.processes import is_alive, this_process

CHILD = """
import sys, time
from isogain.record.processes import this_process
print(this_process(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen, dict]]:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) as run:
        yield run, ast.literal_eval(run.stdout.readline())
        run.kill()


def stepped(seconds: float) -> float:
    return processes._boot_time.__wrapped__() + seconds


@pytest.mark.parametrize("seconds", [0, 3600, -3600, 1e9])
def test_a_clock_that_is_stepped_makes_no_living_process_dead_and_no_dead_one_alive(
    child, monkeypatch, seconds
):
    run, described = child
    now = time.time()
    monkeypatch.setattr(processes, "_boot_time", lambda: stepped(seconds))
    assert is_alive(described, now) is True
    run.kill(), run.wait()
    assert is_alive(described, now) is False


def test_another_process_of_the_same_number_is_another_whenever_it_began(child):
    _, described = child
    assert is_alive(described | {"ticks": described["ticks"] - 1}, time.time()) is False
    assert is_alive(described | {"ticks": described["ticks"] + 1}, time.time()) is False


def test_no_process_outlives_its_boot(child):
    assert is_alive(child[1] | {"boot": "another"}, time.time()) is False


def test_a_description_without_boot_and_start_is_judged_by_the_time(child):
    run, described = child
    old = {key: described[key] for key in ("host", "pid")}
    assert is_alive(old, time.time()) is True
    assert is_alive(old, time.time() - 1e6) is False
    assert is_alive(old, None) is None
    run.kill(), run.wait()
    assert is_alive(old, time.time()) is False


@pytest.mark.parametrize(
    "pid", [True, "1", None, -1, 0, 1.5, 2**40, 10**5000], ids=lambda pid: type(pid).__name__
)
def test_what_is_no_process_number_is_not_seen(pid):
    assert is_alive(this_process() | {"pid": pid}, time.time()) is None


def test_a_process_of_another_machine_is_not_seen():
    assert is_alive(this_process() | {"host": "elsewhere"}, time.time()) is None


def test_a_process_of_another_namespace_is_found_under_the_number_it_has_here_or_not_seen():
    if os.geteuid() != 0:
        pytest.skip("a namespace of processes needs root")
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        line = run.stdout.readline()
        if not line:
            pytest.skip("no namespaces here")
        described = ast.literal_eval(line)
        assert described["pid"] < 10 and described["host"] == socket.gethostname()
        assert described["namespace"] != this_process()["namespace"]
        assert is_alive(described, time.time()) is True
        subprocess.run(["pkill", "-KILL", "-P", str(run.pid)], check=True)
        run.wait()
        assert is_alive(described, time.time()) is None
