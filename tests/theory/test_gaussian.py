"""Gaussian expectations against closed forms and scipy's adaptive quadrature."""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch
from cases import randn, same

from isogain.activations import ACTIVATIONS, modrelu
from isogain.theory.closed import CLOSED
from isogain.theory.gaussian import expect, expect_pair, nodes, panels, pointwise
from isogain.theory.moments import mu, mu_with_slope, second, second_with_slope

NAMES = ["linear", "tanh", "relu", "hardtanh", "erf"]
LENGTHS = [1e-8, 1e-4, 1 / 64, 0.5, 3.0, 40.0]
CORRELATIONS = [-1.0, -0.7, 0.0, 0.3, 0.99, 1 - 1e-9, 1.0]
DIGITS = {"rel": 1e-11, "abs": 1e-14}


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def anonymous(name):
    """The activation as a callable that the theory knows nothing of."""
    return lambda x: ACTIVATIONS[name].function(x)


def adaptive(f, q, kinks=()):
    """E[f(√q z)] by scipy, split at the kinks."""

    def integrand(z):
        x = torch.tensor([math.sqrt(q) * z], dtype=torch.float64)
        return f(x).item() * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    inner = [x / math.sqrt(q) for x in (*kinks, 0, -1, 1) if abs(x) < 12 * math.sqrt(q)]
    ends = sorted({-12.0, -3.0, 3.0, 12.0, *inner})
    return sum(
        scipy.integrate.quad(integrand, a, b, epsabs=0, epsrel=1e-11, limit=200)[0]
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    )


@pytest.mark.parametrize("q", LENGTHS)
@pytest.mark.parametrize("name", CLOSED)
def test_quadrature_of_a_callable_equals_the_closed_form(name, q):
    phi, q = anonymous(name), tensor(q)
    assert second(phi, q).item() == pytest.approx(second(name, q).item(), **DIGITS)
    for k in (1, 2, 3):
        assert mu(phi, q, k).item() == pytest.approx(mu(name, q, k).item(), **DIGITS)


@pytest.mark.parametrize("q", [1e-4, 0.5, 3.0, 40.0])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_by_q_equal_differences(name, q):
    step = 1e-3 * q  # of five points: what is left out and what is rounded are both below 1e-8
    for f, slope in ((second, second_with_slope), (mu, mu_with_slope)):
        values = f(name, q + step * tensor(-2, -1, 1, 2))
        difference = (values @ tensor(1, -8, 8, -1)).item() / (12 * step)
        found = slope(name, tensor(q))
        assert found[0].item() == pytest.approx(f(name, tensor(q)).item(), **DIGITS)
        assert found[1].item() == pytest.approx(difference, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("q", [1e-2, 0.5, 8.0])
@pytest.mark.parametrize(
    ("phi", "kinks"),
    [
        (torch.tanh, ()),
        (torch.nn.functional.gelu, ()),
        (torch.nn.functional.selu, (0,)),
        (lambda x: (x - 0.377).relu() - 0.2 * x, (0.377,)),
        (lambda x: x.sin() + x.abs(), (0,)),
        (lambda x: modrelu(x, tensor(-0.31)), (-0.31, 0.31)),
    ],
    ids=["tanh", "gelu", "selu", "shifted", "sine", "modrelu"],
)
def test_any_callable_is_integrated_as_an_adaptive_rule_does(phi, kinks, q):
    derivative = pointwise(phi).derivative
    expected = adaptive(lambda x: phi(x).square(), q, kinks)
    assert second(phi, tensor(q)).item() == pytest.approx(expected, rel=1e-10)
    expected = adaptive(lambda x: derivative(x).square(), q, kinks)
    assert mu(phi, tensor(q)).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("q", [1e-3, 0.5, 8.0])
@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize("name", ["linear", "relu", "erf"])
def test_pair_expectations_equal_the_closed_kernels(name, c, q):
    point, closed = pointwise(name), CLOSED[name]
    assert expect_pair(point.function, point, q, c) == pytest.approx(closed.kernel(c, q), **DIGITS)
    expected = closed.slope_kernel(c, q)
    assert expect_pair(point.derivative, point, q, c) == pytest.approx(expected, **DIGITS)


@pytest.mark.parametrize("c", [-0.4, 0.6, 0.999])
def test_a_pair_expectation_of_steps_is_a_probability_in_a_square(c):
    """P(|x| < 1, |y| < 1) of hard-tanh, whose slopes are steps."""
    rest = math.sqrt(1 - c * c)
    cdf, pdf = scipy.stats.norm.cdf, scipy.stats.norm.pdf

    def given(x):
        return pdf(x) * (cdf((1 - c * x) / rest) - cdf((-1 - c * x) / rest))

    expected = scipy.integrate.quad(given, -1, 1, epsabs=0, epsrel=1e-12, limit=500)[0]
    point = pointwise("hardtanh")
    assert expect_pair(point.derivative, point, 1.0, c) == pytest.approx(expected, rel=1e-11)


def test_kinks_are_found_wherever_they_are():
    for kinks in ([-1.0, 1.0], [0.0], [0.377], [-5.123, 2.5]):
        phi = lambda x, kinks=kinks: sum((x - k).abs() for k in kinks)  # noqa: E731
        found = pointwise(phi).kinks
        assert all((found - k).abs().min() < 1e-13 for k in kinks)
    assert not len(pointwise("tanh").kinks) and not len(pointwise("linear").kinks)


def test_the_weights_of_the_nodes_make_a_normal_law():
    z, weight = nodes(panels(pointwise("tanh"), tensor(0.1, 1.0, 30.0)))
    for power, moment in enumerate([1, 0, 1, 0, 3, 0, 15]):
        torch.testing.assert_close(
            (weight * z**power).sum(-1), torch.full((3,), moment).double(), rtol=1e-13, atol=1e-13
        )


def test_expectations_keep_the_shape_of_the_grid():
    q = randn(3, 0, 2).abs()
    assert second("tanh", q).shape == (3, 0, 2)
    q = randn(3, 1, 2).abs()
    found = expect(lambda x, z: torch.stack([x, z]), pointwise("tanh"), q)
    assert found.shape == (2, 3, 1, 2)
    same(second("tanh", q)[1, 0, 1], second("tanh", q[1, 0, 1]))


@pytest.mark.parametrize(
    ("phi", "reason"),
    [
        ("modrelu", "one function for all units"),
        ("tahn", "did you mean 'tanh'?"),
        (lambda x: torch.sin(1 / x), "not smooth"),
        (lambda x: x.log(), "must be finite"),
    ],
    ids=["modrelu", "typo", "wild", "log"],
)
def test_what_cannot_be_integrated_is_refused_with_the_reason(phi, reason):
    with pytest.raises(ValueError, match=reason.replace("?", r"\?")):
        second(phi, tensor(1.0))
