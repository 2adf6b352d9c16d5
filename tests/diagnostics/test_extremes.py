"""Lanczos against the dense spectrum."""

import math

import pytest
import torch
from cases import networks, randn, same, small

from isogain.diagnostics.extremes import bidiagonal, jacobian_extremes
from isogain.diagnostics.jacobian import jacobian, jacobian_spectrum
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN


@pytest.mark.parametrize("build", networks((2,)))
def test_with_as_many_steps_as_units_the_extremes_are_exact(build):
    net, x = build(), randn(3, 5, 3)
    s = torch.linalg.svdvals(jacobian(net, x))
    found = jacobian_extremes(net, x).exp()
    torch.testing.assert_close(found, s[:, [0, -1]], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_fewer_steps_bound_the_spectrum_from_within(steps):
    net, x = small(RNN, hidden=20), randn(3, 5, 3)
    found, logs = jacobian_extremes(net, x, steps), jacobian_spectrum(net, x)
    assert (found[:, 0] <= logs[:, 0] + 1e-9).all() and (found[:, 1] >= logs[:, -1] - 1e-9).all()


def test_the_largest_has_converged_long_before_all_steps_are_done():
    net, x = small(LSTM, hidden=40), randn(3, 5, 3)
    same(jacobian_extremes(net, x, 24)[:, 0], jacobian_spectrum(net, x)[:, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_deep_linear_orthogonal_network_has_one_singular_value(dtype):
    net = small(MLP, depth=16, hidden=50, activation="linear").to(dtype)
    orthogonal_(net.kernel, 1.1)
    found = jacobian_extremes(net, torch.randn(2, 5, 3, dtype=dtype))
    expected = torch.full((2, 2), 16 * math.log(1.1), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_bidiagonal_of_all_steps_has_all_singular_values():
    j = randn(3, 7, 7)
    b = bidiagonal(
        lambda v: torch.einsum("bij,bj->bi", j, v),
        lambda u: torch.einsum("bij,bi->bj", j, u),
        j[:, 0],
        7,
    )
    torch.testing.assert_close(torch.linalg.svdvals(b), torch.linalg.svdvals(j))
    assert b.tril(-1).count_nonzero() == b.triu(2).count_nonzero() == 0


def test_measuring_changes_nothing():
    net, x = small(RNN), randn(3, 5, 3)
    state, before = torch.get_rng_state(), [p.clone() for p in net.parameters()]
    jacobian_extremes(net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(p, b) and p.grad is None for p, b in zip(net.parameters(), before, strict=True)
    )
