import math

import pytest
import torch
from cases import randn, same, small
from torch import nn

from isogain.diagnostics import jacobian_spectrum
from isogain.diagnostics.density import jacobian_density
from isogain.init import orthogonal_
from isogain.models.along import along
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN


def gaussians(logs, at, width):
    """The exact smoothed density of values `logs` (B, m) at `at` (A,)."""
    z = (at - logs.unsqueeze(-1)) / width
    return ((-z.square() / 2).exp() / (width * math.sqrt(2 * math.pi))).mean(1)


@pytest.mark.parametrize("model", [MLP, RNN, LSTM])
def test_with_all_steps_and_probes_it_is_the_dense_density(model):
    net, x = small(model, depth=2), randn(2, 5, 3)
    logs = jacobian_spectrum(net, x)
    found = jacobian_density(net, x, steps=99, probes=99)
    kept = logs.where(
        logs > found.resolved.unsqueeze(1) + 16, -torch.inf
    )  # the rest is known by its weight
    at = kept[0][kept[0].isfinite()] + 1e-6
    value, error = found.cdf(at)
    expected = (logs.unsqueeze(-1) <= at).double().mean(1)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-8)
    assert (found.mean(torch.ones_like)[0] - 1).abs().max() < 1e-12
    assert error.isfinite().all()


@pytest.mark.parametrize("widths", [(60, 80, 50), (50, 80, 60), (64, 64, 64)])
def test_within_its_error_estimate_it_is_the_dense_density(widths):
    net = nn.Sequential(nn.Linear(*widths[:2]), nn.Tanh(), nn.Linear(*widths[1:])).double()
    x, path = randn(3, widths[0]), along(net, "*", from_input=True)
    logs = jacobian_spectrum(path, x)
    found = jacobian_density(path, x, steps=24, probes=8)
    assert found.count == min(widths) and found.logs.shape == (3, 8, 24)
    at = torch.linspace(-5, 1, 13, dtype=torch.float64)
    value, error = found.density(at, width=0.5)
    assert ((value - gaussians(logs, at, 0.5)).abs() <= 4 * error + 1e-3).all()
    assert error.mean() < 0.1  # and that is no empty statement
    value, error = found.mean(lambda logs: (2 * logs).exp())
    assert ((value - (2 * logs).exp().mean(1)).abs() <= 4 * error).all()


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_a_product_of_any_size_has_its_logarithm(size):
    net = small(MLP, depth=40, hidden=6, activation="linear")
    orthogonal_(net.kernel, size)
    nn.init.zeros_(net.bias)
    value, error = jacobian_density(net, randn(2, 5, 3)).mean(lambda logs: logs)
    same(value, torch.full((2,), 40 * math.log(size), dtype=torch.float64))
    assert (error < 1e-9).all()


def test_values_that_are_zero_have_their_weight_at_minus_infinity():
    net = small(MLP, depth=2, hidden=6, activation="linear")
    with torch.no_grad():
        net.kernel.copy_(torch.eye(6))
        net.kernel[1, :2] = 0
    value, _ = jacobian_density(net, randn(2, 5, 3), 99, 99).cdf(torch.tensor([-40.0]))
    same(value, torch.full((2, 1), 1 / 3, dtype=torch.float64))
    with torch.no_grad():
        net.kernel.zero_()
    assert (jacobian_density(net, randn(2, 5, 3)).cdf(torch.tensor([-1e9]))[0] == 1).all()


@pytest.mark.parametrize("name", ["steps", "probes"])
def test_fewer_than_two_leave_no_error_estimate(name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        jacobian_density(small(MLP), randn(2, 5, 3), **{name: 1})
