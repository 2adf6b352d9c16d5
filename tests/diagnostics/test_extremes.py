"""Lanczos against the whole spectrum: bounds that hold at any size, values where there are as many steps as units."""

import math

import pytest
import torch
from cases import covering, networks, randn, same, slow_but, small

from isogain.diagnostics.extremes import jacobian_extremes, lanczos_vectors
from isogain.diagnostics.jacobian import jacobian_spectrum
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN


@pytest.mark.parametrize("build", networks((2,)))
def test_with_as_many_steps_as_units_the_extremes_are_exact(build):
    net, x = build(), randn(3, 5, 3)
    expected = jacobian_spectrum(net, x)[:, [0, -1]]
    torch.testing.assert_close(jacobian_extremes(net, x), expected, rtol=0, atol=1e-6)


def drawn(kind, gain, n, length):
    """A network in float32 and the inputs of two examples."""
    net = {
        "tanh": lambda: RNN(3, 4, length, n),
        "relu": lambda: RNN(3, 4, length, n, activation="relu"),
        "linear": lambda: RNN(3, 4, length, n, activation="linear"),
        "lstm": lambda: LSTM(3, 4, length, n // 2),
        "mlp": lambda: MLP(3, 4, 5, n, length),
    }[kind]()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name), gain)
    return net, torch.randn(2, 5 if kind == "mlp" else length, 3)


@pytest.mark.parametrize(
    ("kind", "gain", "size"),
    covering(
        ["tanh", "relu", "linear", "lstm", "mlp"],
        [0.5, 1.1, 2.0],
        [(16, 40), (2, 90), (40, 6), (16, 40), (40, 6)],
    ),
)
def test_the_largest_is_a_lower_and_the_least_an_upper_bound_at_any_size(kind, gain, size):
    n, length = size
    net, x = drawn(kind, gain, n, length)
    logs = jacobian_spectrum(net, x)
    for steps in (1, 8, n):
        found = jacobian_extremes(net, x, steps)
        assert (found[:, 0] <= logs[:, 0] + 1e-4).all() and (
            found[:, 1] >= logs[:, -1] - 1e-4
        ).all()
        singular = logs[:, -1] == -math.inf
        assert singular[found[:, 1] == -math.inf].all()
    torch.testing.assert_close(found, logs[:, [0, -1]], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("gain", "length"), slow_but([(0.9, 784), (1.2, 784)], 0))
def test_a_linear_orthogonal_rnn_has_one_singular_value_at_any_length(gain, length):
    net = RNN(3, 4, length, 8, activation="linear")
    orthogonal_(net.recurrent, gain)
    found = jacobian_extremes(net, torch.randn(1, length, 3), 3)
    expected = torch.full((1, 2), length * math.log(gain), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)  # the kernel is rounded


def test_the_largest_has_converged_long_before_all_steps_are_done():
    net, x = small(LSTM, hidden=40), randn(3, 5, 3)
    same(jacobian_extremes(net, x, 24)[:, 0], jacobian_spectrum(net, x)[:, 0])


def test_a_unit_that_is_cut_off_makes_the_least_minus_infinity_only_where_it_is_seen():
    net, x = small(MLP, depth=3, hidden=12, activation="linear"), randn(2, 5, 3)
    with torch.no_grad():
        net.kernel[1, 4] = 0
    assert (jacobian_extremes(net, x, 12)[:, 1] == -math.inf).all()
    assert jacobian_extremes(net, x, 11).isfinite().all()


def test_lanczos_vectors_are_orthonormal_and_span_the_krylov_space():
    j, like = randn(3, 7, 7), randn(3, 7)
    u = lanczos_vectors(
        lambda v: torch.einsum("bij,bj->bi", j, v),
        lambda u: 3 * torch.einsum("bij,bi->bj", j, u),
        like,
        4,
    )
    same(u @ u.mT, torch.eye(4, dtype=torch.float64).repeat(3, 1, 1))
    image = u[:, :3] @ (j @ j.mT).mT
    same(image - image @ u.mT @ u, torch.zeros(3, 3, 7, dtype=torch.float64))


def test_measuring_changes_nothing():
    net, x = small(RNN), randn(3, 5, 3)
    state, before = torch.get_rng_state(), [p.clone() for p in net.parameters()]
    jacobian_extremes(net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(p, b) and p.grad is None for p, b in zip(net.parameters(), before, strict=True)
    )
