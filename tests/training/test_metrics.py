from types import SimpleNamespace

import pytest
import torch

from isogain.training.metrics import Sums, Tally


def process(rank=0, others=None):
    """A trainer of process `rank`, to which the reduction adds what the `others` put into it (processes, 4)."""
    others = torch.zeros(1, 4).double() if others is None else others
    reduce = lambda every, reduce_op: every + others  # noqa: E731
    return SimpleNamespace(
        world_size=len(others),
        global_rank=rank,
        is_global_zero=rank == 0,
        strategy=SimpleNamespace(reduce=reduce),
    )


def filled(*batches):
    tally = Tally()
    for loss, hits, examples in batches:
        tally.add(torch.tensor(loss), None if hits is None else torch.tensor(hits), examples)
    return tally


def test_the_sums_are_over_examples_and_begin_anew_once_they_are_taken():
    tally = filled((0.5, [True, False, True], 3), (2.0, [True], 1))
    assert tally.sums_and_reset_(process()) == Sums(3.5, 3, 4, None)
    assert tally.sums_and_reset_(process()) == Sums(0, 0, 0, None)


def test_a_task_without_hits_has_none():
    assert filled((0.5, None, 3)).sums_and_reset_(process()) == Sums(1.5, 0, 3, None)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_step_that_is_not_finite_is_kept_step_0_too(bad):
    for first in (0, 7):
        tally = Tally()
        for step, loss in ((first, bad), (first + 1, 1.0), (first + 2, bad)):
            tally.mark(torch.tensor(loss), step)
        assert tally.sums_and_reset_(process()).bad_step == first


def test_the_sums_of_all_processes_are_taken():
    others = torch.tensor([[3.0, 2, 8, 0], [0, 0, 0, 0]]).double()
    assert filled((0.5, [True], 2)).sums_and_reset_(process(1, others)) == Sums(4.0, 3, 10, None)


def test_each_process_takes_up_its_own_and_rank_zero_all_of_another_number():
    saved = torch.tensor([[1.0, 2, 3, 0], [4, 5, 6, 0]]).double()
    two, one = torch.zeros(2, 4).double(), torch.zeros(1, 4).double()
    for rank in (0, 1):
        tally = Tally()
        tally.restore(saved, process(rank, two))
        assert torch.equal(tally.sums, saved[rank])
    tally.restore(saved, process(0, one))
    assert torch.equal(tally.sums, saved.sum(0))
    tally.restore(saved[:1], process(1, two))
    assert torch.equal(tally.sums, torch.zeros(4).double())
