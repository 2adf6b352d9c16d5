"""Calls side by side give what they give one after another, and leave torch as it was."""

import pytest
import torch
from cases import randn

from isogain.cores import each


@pytest.fixture(params=[1, 2, 3])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order_and_threads_are_given_back(cores, count):
    a = randn(7, 5, 5)
    found = each(lambda i: torch.linalg.svdvals(a[i]), count)
    assert len(found) == count and torch.get_num_threads() == cores
    for i, s in enumerate(found):
        torch.testing.assert_close(s, torch.linalg.svdvals(a[i]), rtol=1e-12, atol=0)


def test_an_error_is_passed_on_and_threads_are_given_back(cores):
    with pytest.raises(torch.linalg.LinAlgError):
        each(lambda i: torch.linalg.svdvals(torch.full((3, 3), torch.nan)), 4)
    assert torch.get_num_threads() == cores
