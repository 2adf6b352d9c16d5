"""Two processes that train together: neither hook needs to speak to the other process."""

import os
import socket
import subprocess
import sys
import time

import ddp_worker
import numpy as np
import pytest
import torch
from ddp_worker import CASES, RANKS, trained
from guards import PATIENCE

pytestmark = pytest.mark.slow


def environment(rank: int, port: int) -> dict[str, str]:
    """That of a process which torchrun starts, so that Lightning starts none itself."""
    ours = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": RANKS, "MASTER_PORT": port}
    ours |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": 1, "OMP_NUM_THREADS": 1}
    return os.environ | {name: str(value) for name, value in ours.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finish(processes: list[subprocess.Popen]) -> None:
    """Wait for all; where one fails the others would wait for it for ever."""
    end = time.monotonic() + PATIENCE
    try:
        while any(process.poll() is None for process in processes) and time.monotonic() < end:
            if any(process.poll() for process in processes):
                break
            time.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each of two processes ends with, by regulariser; they begin from different seeds."""
    out, port = tmp_path_factory.mktemp("ddp"), free_port()
    processes = []
    for rank in range(RANKS):
        with (out / f"{rank}.log").open("w") as log:
            command = [sys.executable, ddp_worker.__file__, str(out)]
            env = environment(rank, port)
            processes.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
    finish(processes)
    said = "".join((out / f"{rank}.log").read_text()[-3000:] for rank in range(RANKS))
    assert [process.returncode for process in processes] == [0] * RANKS, said
    found = [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]
    with np.load(out / "diagnosed" / "spectra.npz") as arrays:
        found[0]["arrays"] = dict(arrays)
    return found


@pytest.mark.parametrize("name", CASES)
def test_both_processes_end_with_the_same_bits(together, name):
    first, second = (states[name] for states in together)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert ("reg.sigmas.0" in first) == ("learned" in name)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_as_one_that_has_the_examples_of_both(together, tmp_path, name):
    one = trained(name, tmp_path, *range(RANKS))
    torch.testing.assert_close(together[0][name], one, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_each_process_learns_from_the_examples_of_the_other(together, tmp_path, name):
    for rank, states in enumerate(together):
        alone = trained(name, tmp_path / str(rank), rank)
        assert (alone["kernel"] - states[name]["kernel"]).abs().max() > 1e-3


def test_looking_by_rank_zero_changes_the_bits_of_neither_process(together):
    for states in together:
        torch.testing.assert_close(states["diagnosed"], states["none"], rtol=0, atol=0)


def test_rank_zero_alone_has_measured_its_probe_batch_at_every_event(together):
    arrays = together[0]["arrays"]
    for name in ("jacobian/log_spectrum", "signal_grad/log", "weights/recurrent"):
        assert arrays[f"{name}/step"].tolist() == [0, 5, 10, 15, 20]
    assert arrays["jacobian/log_spectrum"].shape == (5, 3, 6)
