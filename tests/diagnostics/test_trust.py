"""Factors that undo one another, against mpmath on the same weights: a product may look well conditioned."""

import math

import mpmath
import pytest
import torch
from cases import randn, slow_but

from isogain.diagnostics import jacobian_extremes, jacobian_spectra
from isogain.init import orthogonal_
from isogain.linalg.double_double import DoubleDouble, qr
from isogain.linalg.graded import rotation
from isogain.linalg.graded_double import GradedDouble
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

ATOL = {torch.float32: 1e-3, torch.float64: 1e-6}


def orthogonal(n):
    return orthogonal_(randn(n, n))


def ill_conditioned(n, condition=1e8):
    s = torch.logspace(0, -math.log10(condition), n, dtype=torch.float64)
    return orthogonal(n) @ torch.diag(s) @ orthogonal(n)


def periodic(n, condition=1e8, period=8):
    """S R S⁻¹ with R of rotations by multiples of 2π/8: its eighth power is the identity, if it were not rounded."""
    angles = 2 * math.pi / period * torch.arange(1, n // 2 + 1, dtype=torch.float64)
    c, s = angles.cos(), angles.sin()
    rotations = torch.block_diag(*torch.stack([c, -s, s, c], 1).view(-1, 2, 2))
    similarity = ill_conditioned(n, condition**0.5)
    return similarity @ rotations @ torch.linalg.inv(similarity)


def exact(factors, digits=400):
    with mpmath.workdps(digits):
        product = mpmath.eye(factors[0].shape[-1])
        for a in factors:
            product = mpmath.matrix(a.tolist()) * product
        s = mpmath.svd_r(product, compute_uv=False)
        return torch.tensor([float(mpmath.log(value)) for value in s], dtype=torch.float64)


@pytest.mark.parametrize("dtype", ATOL)
@pytest.mark.parametrize("n", [2, 7, 24])
def test_a_matrix_and_its_inverse_are_right_in_every_logarithm(n, dtype):
    net, w = MLP(1, 2, 1, n, 2, activation="linear").to(dtype), ill_conditioned(n)
    with torch.no_grad():
        net.kernel[0] = w
        net.kernel[1] = torch.linalg.inv(net.kernel[0].double())
    found = jacobian_spectra(net, torch.randn(2, 1, 1, dtype=dtype)).logs[:, 0]
    expected = exact(list(net.kernel.detach())).expand(2, n)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL[dtype])


@pytest.mark.parametrize("dtype", ATOL)
@pytest.mark.parametrize(("n", "length"), slow_but([(2, 400), (4, 96), (10, 40)], 1))
def test_a_periodic_recurrence_far_from_normal_is_right_in_every_logarithm(n, length, dtype):
    net = RNN(1, 2, length, n, activation="linear").to(dtype)
    with torch.no_grad():
        net.recurrent[0] = periodic(n)
    found = jacobian_spectra(net, torch.randn(1, length, 1, dtype=dtype)).logs[0, 0]
    expected = exact([net.recurrent.detach()[0]] * length, 1000)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL[dtype])


def jordan(n, length, a=1.0, **options):
    """h_t = φ((I + aN) h_{t−1} + x_t) of one Jordan block."""
    net = RNN(1, 2, length, n, **options)
    with torch.no_grad():
        net.recurrent[0] = torch.eye(n) + a * torch.diag(torch.ones(n - 1), 1)
        net.input[0].weight.fill_(1)
    return net


@pytest.mark.parametrize(
    ("n", "length", "a"),
    slow_but([(20, 100, 0.5), (12, 300, 1.0), (32, 100, 0.5)], 0),
)
@pytest.mark.parametrize("dtype", ATOL)
def test_powers_of_a_jordan_block_are_right_though_nothing_grows_or_shrinks(n, length, a, dtype):
    net = jordan(n, length, a, activation="linear").to(dtype)
    found = jacobian_spectra(net, torch.randn(1, length, 1, dtype=dtype)).logs[0, 0]
    expected = exact([net.recurrent.detach()[0]] * length, 200)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL[dtype])


@pytest.mark.slow
def test_an_example_that_no_precision_at_hand_resolves_is_nan_and_the_others_are_measured():
    """(I + N)²⁰⁰ of one Jordan block of 24: the 24th root of a rounding error moves its eigenvalues."""
    net, x = jordan(24, 200, activation="relu"), torch.ones(2, 200, 1)
    x[1] = -1  # no unit is active
    found = jacobian_spectra(net, x, (0, 197))
    assert found.logs[0, 0].isnan().all() and (found.logs[1] == -math.inf).all()
    third = exact([net.recurrent.detach()[0]] * 3, 60)
    torch.testing.assert_close(found.logs[0, 1], third, rtol=0, atol=1e-3)
    assert jacobian_extremes(net, x, 24).isnan().all(1).tolist() == [True, False]


@pytest.mark.parametrize("length", [3, 100])
def test_twice_the_digits_are_right_where_float64_has_none(length):
    n = 12
    w = torch.eye(n, dtype=torch.float64) + 0.9 * torch.diag(torch.ones(n - 1).double(), 1)
    product = GradedDouble(rotation(n))
    done = 0
    while done < length:
        count = min(product.size, length - done)
        product.absorb(lambda count=count: [(None, w)] * count, count)
        done += count
    torch.testing.assert_close(product.logs(), exact([w] * length), rtol=0, atol=1e-12)


def test_scales_outside_the_range_of_float64_keep_their_logarithms():
    s = torch.tensor([-3000.0, 5.0, -800.0, -math.inf], dtype=torch.float64)
    product = GradedDouble(rotation(4))
    product.absorb(lambda: [(s, None)] * 2, 2)
    expected = 2 * s.sort(descending=True).values
    torch.testing.assert_close(product.logs(), expected, rtol=1e-15, atol=1e-9)


def by_mpmath(a):
    return mpmath.matrix(a.hi.tolist()) + mpmath.matrix(a.lo.tolist())


@pytest.mark.parametrize(("n", "k"), [(9, 9), (14, 5)])
def test_double_doubles_multiply_and_decompose_to_31_digits(n, k):
    a, b = (DoubleDouble(randn(*s), 1e-17 * randn(*s)) for s in ((n, n), (n, k)))
    q, r = qr(b)
    with mpmath.workdps(60):
        differences = [
            by_mpmath(a @ b) - by_mpmath(a) * by_mpmath(b),
            by_mpmath(q) * by_mpmath(r) - by_mpmath(b),
            by_mpmath(q).T * by_mpmath(q) - mpmath.eye(k),
        ]
        assert all(abs(v) < 1e-29 for difference in differences for v in difference)
