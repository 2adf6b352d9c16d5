import copy
import math

import numpy as np
import pytest
import torch
from cases import randn, same, small

from isogain.diagnostics.jacobian import BLOCK, jacobian, jacobian_spectrum
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

NETWORKS = {
    "mlp-1": lambda: small(MLP, depth=1),
    "mlp-3": lambda: small(MLP, depth=3, activation="erf"),
    "rnn-1": lambda: small(RNN, depth=1),
    "rnn-2": lambda: small(RNN, depth=2),
    "rnn-modrelu": lambda: small(RNN, depth=1, activation="modrelu"),
    "lstm-1": lambda: small(LSTM, depth=1),
    "lstm-2": lambda: small(LSTM, depth=2),
}
networks = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def brute_force(net, x):
    """∂h_L/∂h_0, example by example, by torch's own functional."""

    def end(h):
        return net.trajectory(h[None], example[None])[-1][0]

    found = []
    for example in x:
        start = net.start(example[None])[0].detach()
        found.append(torch.autograd.functional.jacobian(end, start))
    return torch.stack(found).detach()


def linear(depth, hidden=6, **options):
    return small(MLP, depth=depth, hidden=hidden, activation="linear", **options)


@networks
def test_the_jacobian_is_that_of_brute_force(build):
    net, x = build(), randn(3, 5, 3)
    same(jacobian(net, x), brute_force(net, x))


@networks
def test_the_spectrum_is_the_log_of_numpys_singular_values(build):
    net, x = build(), randn(3, 5, 3)
    expected = np.linalg.svd(brute_force(net, x).numpy(), compute_uv=False)
    found = jacobian_spectrum(net, x)
    same(found.exp(), torch.from_numpy(expected))
    assert (found.diff() <= 0).logical_or(found[:, 1:] == -math.inf).all()


@pytest.mark.parametrize("examples", [1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_any_number_of_examples_is_measured_one_by_one(examples):
    net, x = small(RNN), randn(examples, 5, 3)
    same(jacobian(net, x), brute_force(net, x))


def test_the_jacobian_of_an_mlp_is_the_product_of_slopes_and_kernels():
    """Π diag(φ'(z_l)) W_l: Pennington, Schoenholz and Ganguli 2017, equation 2."""
    net, x = small(MLP, depth=3), randn(1, 5, 3)
    h, product = net.start(x)[0].detach(), torch.eye(6, dtype=torch.float64)
    for w, b in zip(net.kernel.detach(), net.bias.detach(), strict=True):
        h = torch.tanh(w @ h + b)
        product = torch.diag(1 - h**2) @ w @ product
    same(jacobian(net, x)[0], product)


def test_the_jacobian_of_an_rnn_is_the_product_over_time():
    net, x = small(RNN, depth=1), randn(1, 5, 3)
    w, product = net.recurrent.detach()[0], torch.eye(6, dtype=torch.float64)
    for h in net.trajectory(net.start(x), x)[1:]:
        product = torch.diag(1 - h.detach()[0] ** 2) @ w @ product
    same(jacobian(net, x)[0], product)


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("depth", [1, 4, 16])
def test_a_deep_linear_orthogonal_network_has_one_singular_value(depth, gain):
    net = linear(depth)
    orthogonal_(net.kernel, gain)
    torch.nn.init.zeros_(net.bias)
    expected = torch.full((3, 6), depth * math.log(gain), dtype=torch.float64)
    same(jacobian_spectrum(net, randn(3, 5, 3)), expected)


@pytest.mark.parametrize("steps", [1, 100])
def test_a_linear_orthogonal_rnn_has_one_singular_value(steps):
    net = small(RNN, depth=1, activation="linear")
    orthogonal_(net.recurrent, 1.1)
    expected = torch.full((2, 6), steps * math.log(1.1), dtype=torch.float64)
    same(jacobian_spectrum(net, randn(2, steps, 3)), expected)


def test_what_rounding_hides_is_minus_infinity_and_the_rest_is_exact():
    net = linear(depth=4, hidden=3)
    with torch.no_grad():
        net.kernel.copy_(torch.diag(torch.tensor([1.0, 1e-3, 1e-5], dtype=torch.float64)))
    expected = torch.tensor([0, 4 * math.log(1e-3), -math.inf], dtype=torch.float64)
    same(jacobian_spectrum(net, randn(2, 5, 3)), expected.expand(2, 3))


def test_a_dead_network_has_no_spectrum():
    net = linear(depth=2)
    torch.nn.init.zeros_(net.kernel)
    assert (jacobian_spectrum(net, randn(2, 5, 3)) == -math.inf).all()


def test_a_spectrum_is_far_below_single_precision():
    """1e-30 in every direction is a perfect isometry up to scale, and is measured as one."""
    net = linear(depth=3).float()
    with torch.no_grad():
        net.kernel.copy_(1e-10 * torch.eye(6))
    expected = 3 * torch.full((2, 6), 1e-10).double().log()
    same(jacobian_spectrum(net, torch.randn(2, 5, 3)), expected)


@networks
def test_the_spectrum_of_a_single_precision_network_is_that_of_its_double(build):
    net, x = build().float(), torch.randn(3, 5, 3)
    s = torch.linalg.svdvals(brute_force(copy.deepcopy(net).double(), x.double()))
    found = jacobian_spectrum(net, x)
    assert found.dtype == torch.float64
    same(found.exp(), s)


@networks
def test_measuring_changes_nothing(build):
    net, x = build().float(), torch.randn(3, 5, 3)
    net(x).sum().backward()
    net.eval()
    generator = torch.get_rng_state()
    parameters = [(p, p.detach().clone(), p.grad, p.grad.clone()) for p in net.parameters()]
    jacobian_spectrum(net, x)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not net.training
    for p, (before, value, grad, gradient) in zip(net.parameters(), parameters, strict=True):
        assert p is before and p.grad is grad and p.requires_grad and p.dtype == torch.float32
        assert torch.equal(p, value) and torch.equal(grad, gradient)


def test_it_measures_where_gradients_are_off():
    net, x = small(RNN), randn(2, 5, 3)
    expected = jacobian_spectrum(net, x)
    with torch.no_grad():
        found = jacobian_spectrum(net, x)
    assert torch.equal(found, expected)
    assert not found.requires_grad


def test_a_network_with_nan_is_refused():
    net = small(RNN)
    with torch.no_grad():
        net.recurrent[0, 1, 2] = torch.nan
    with pytest.raises(torch.linalg.LinAlgError):
        jacobian_spectrum(net, randn(2, 5, 3))
