import math

import mpmath
import numpy as np
import pytest
import scipy.special
import torch
from cases import randn, same

from isogain.activations import (
    ACTIVATIONS,
    log_sigmoid_derivative,
    modrelu,
    sigmoid_derivative,
)

FORMULAS = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "hardtanh": lambda z: np.clip(z, -1, 1),
    "erf": scipy.special.erf,
    "modrelu": lambda z, b: np.where(np.abs(z) + b > 0, z + b * np.sign(z), 0),
}
KINKS = {"relu": [0.0], "hardtanh": [-1.0, 1.0], "modrelu": [-0.5, 0.0, 0.5]}


def arguments(name):
    """Points off the kinks, and a bias of either sign for modrelu."""
    z = 1.5 * randn(40, 7)
    return (z, torch.linspace(-1, 1, 7, dtype=torch.float64)) if name == "modrelu" else (z,)


def autograd_derivative(name, z, *bias):
    z = z.clone().requires_grad_()
    return torch.autograd.grad(ACTIVATIONS[name].function(z, *bias).sum(), z)[0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_function_is_its_formula(name):
    given = arguments(name)
    expected = FORMULAS[name](*(a.numpy() for a in given))
    same(ACTIVATIONS[name].function(*given), torch.from_numpy(expected))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_is_that_of_autograd(name):
    given = arguments(name)
    same(ACTIVATIONS[name].derivative(*given), autograd_derivative(name, *given))


SLOPED = [name for name, phi in ACTIVATIONS.items() if phi.slope]


@pytest.mark.parametrize("name", SLOPED)
def test_the_slope_at_the_output_is_the_derivative_at_the_input(name):
    given, phi = arguments(name), ACTIVATIONS[name]
    torch.testing.assert_close(
        phi.slope(phi.function(*given)), phi.derivative(*given), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", KINKS)
def test_at_a_kink_derivative_slope_and_autograd_are_0(name):
    z = torch.tensor(KINKS[name], dtype=torch.float64)
    bias = (torch.full_like(z, -0.5),) if name == "modrelu" else ()
    phi, zeros = ACTIVATIONS[name], torch.zeros_like(z)
    same(phi.derivative(z, *bias), zeros)
    assert (phi.log_derivative(z, *bias) == -math.inf).all()
    same(phi.slope(phi.function(z, *bias)), zeros)
    same(autograd_derivative(name, z, *bias), zeros)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_in_place_gives_the_same_in_the_same_memory(name):
    z, *bias = arguments(name)
    expected, phi = ACTIVATIONS[name].function(z.clone(), *bias), ACTIVATIONS[name]
    out = phi.function_(z, *bias)
    assert out.data_ptr() == z.data_ptr()
    assert torch.equal(z, expected)


EXACT = {
    "tanh": lambda z: mpmath.sech(z) ** 2,
    "erf": lambda z: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(z**2)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EXACT)
def test_a_derivative_keeps_its_digits_however_saturated_the_unit(name, dtype):
    z = torch.cat([torch.linspace(-9, 9, 181), torch.tensor([1e-8, 19.0, -19, 40, 400, -1e4])]).to(
        dtype
    )
    limits, phi = torch.finfo(dtype), ACTIVATIONS[name]
    with mpmath.workdps(50):
        exact = [EXACT[name](mpmath.mpf(value)) for value in z.tolist()]
        logs = torch.tensor([float(mpmath.log(value)) for value in exact], dtype=torch.float64)
        values = torch.tensor([float(value) for value in exact], dtype=torch.float64)
    inside = values > limits.tiny
    rounding = 4 * limits.eps * (1 + z.double().square())  # of z² in an exponent
    off = phi.derivative(z).double() / values - 1
    assert (off.abs() <= rounding)[inside].all()
    assert (
        (phi.log_derivative(z).double() - logs).abs() <= 4 * limits.eps * (1 + logs.abs())
    ).all()


def test_a_sigmoid_keeps_the_digits_of_its_derivative_on_either_side():
    z = torch.tensor([-5000.0, -40, -3, 0, 3, 40, 5000], dtype=torch.float64)
    with mpmath.workdps(50):
        exact = [1 / (2 + 2 * mpmath.cosh(mpmath.mpf(value))) for value in z.tolist()]
        logs = torch.tensor([float(mpmath.log(value)) for value in exact], dtype=torch.float64)
    same(log_sigmoid_derivative(z), logs)
    torch.testing.assert_close(sigmoid_derivative(z), logs.exp(), rtol=1e-13, atol=0)


def test_modrelu_is_odd_and_silent_below_its_threshold():
    z, bias = arguments("modrelu")
    same(modrelu(-z, bias), -modrelu(z, bias))
    assert not modrelu(z, bias)[z.abs() + bias <= 0].any()


def test_modrelu_without_bias_is_the_identity():
    z = randn(30)
    same(modrelu(z, torch.zeros(30, dtype=torch.float64)), z)


def test_the_derivative_of_modrelu_by_its_bias_is_the_sign_of_its_output():
    z, bias = arguments("modrelu")
    bias = bias.expand_as(z).clone().requires_grad_()
    h = modrelu(z, bias)
    same(torch.autograd.grad(h.sum(), bias)[0], h.detach().sign())


def test_the_derivative_of_erf_at_0_is_2_over_root_pi():
    zero = torch.zeros(1, dtype=torch.float64)
    assert ACTIVATIONS["erf"].derivative(zero).item() == pytest.approx(2 / math.sqrt(math.pi))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_slope_is_steeper_than_the_steepest(name):
    z = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    bias = (torch.zeros_like(z),) if name == "modrelu" else ()
    assert ACTIVATIONS[name].derivative(z, *bias).max().item() == ACTIVATIONS[name].steepest
