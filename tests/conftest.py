"""Every test starts from the same seed, whatever ran before it."""

import os
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch
from quick_share import slow_ids

torch.set_num_threads(1)  # the matrices are tiny


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `quick_share` leaves to the slow suite, of the cases that are not slow already."""
    here = Path(__file__).parent
    quick = [item for item in items if not item.get_closest_marker("slow")]
    cases = [
        (item.path.relative_to(here).as_posix(), getattr(item, "originalname", item.name))
        for item in quick
    ]
    for place in slow_ids(cases):
        quick[place].add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def mnist_read_once() -> Iterator[None]:
    """The packaged files are read and checked once for all tests of a process that ask for this."""
    from runs import read_idx

    from isogain.data import mnist

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "idx_tensor", read_idx)
        yield


@pytest.fixture(params=[1, 2, 3])
def cores(request) -> Iterator[int]:
    """How many threads torch was told to use."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """A test leaves the environment as it was: Lightning's DDP sets variables that say which process this is."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def fork_server() -> None:
    """The process that `forked.started` forks; it knows nothing of a SLURM job in which the tests may run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("OMP_NUM_THREADS", "1")
        ours = ("SLURM_", "WANDB_MODE", "HYDRA_FULL_ERROR")
        for name in [name for name in os.environ if name.startswith(ours)]:
            patch.delenv(name)
        forkserver.ensure_running()


@pytest.fixture(scope="session")
def slurm_lab() -> None:
    """A SLURM that is ours to use."""
    from jobs import need_the_lab

    need_the_lab()
