"""Calls side by side give what they give one after another, and leave torch as it was."""

import numpy as np
import pytest
import torch
from cases import randn

from isogain.linalg.per_core import each, log_abs_dets, singular_values


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


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 4, 4), (5, 3, 6), (4, 6, 3)])
def test_singular_values_of_a_stack_are_those_of_its_matrices(cores, shape):
    stack = randn(*shape)
    torch.testing.assert_close(singular_values(stack), torch.linalg.svdvals(stack))


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 4, 4), (3, 256, 256)])
def test_determinants_of_a_stack_are_those_of_its_matrices(cores, shape):
    stack = randn(*shape).float()
    expected = torch.from_numpy(np.linalg.slogdet(stack.double().numpy()).logabsdet).float()
    torch.testing.assert_close(log_abs_dets(stack), expected, rtol=1e-5, atol=1e-2)
