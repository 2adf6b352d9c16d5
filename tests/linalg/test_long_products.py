"""Singular values of long products against 1000-digit arithmetic, and laws that products keep."""

import math

import mpmath
import pytest
import torch
from cases import randn

from isogain.init import orthogonal_
from isogain.linalg import log_singular_values
from isogain.linalg.long_products import MARGIN, SPAN

INF = math.inf


def exact(factors, digits=1000):
    """log σ of A_L … A_1 by mpmath; what no digit is left of is zero."""
    with mpmath.workdps(digits):
        product = mpmath.eye(factors[0].shape[-1])
        for a in factors:
            product = mpmath.matrix(a.tolist()) * product
        s = mpmath.svd_r(product, compute_uv=False)
        zero = mpmath.mpf(10) ** (50 - digits)
        return torch.tensor(
            [float(mpmath.log(value)) if value > zero else -INF for value in s],
            dtype=torch.float64,
        )


def orthogonal(n, gain=1.0):
    return orthogonal_(randn(n, n), gain)


def tanh_factors(n, length, gain, recurrent):
    """diag(1 − h²) W along a trajectory, as the Jacobians of an MLP or RNN are."""
    w, h, factors = orthogonal(n, gain), 0.5 * randn(n), []
    for _ in range(length):
        w = w if recurrent else orthogonal(n, gain)
        h = torch.tanh(w @ h)
        factors.append((1 - h**2).unsqueeze(1) * w)
    return torch.stack(factors)


def relu_factors(n, length):
    h, factors = randn(n), []
    for _ in range(length):
        w = orthogonal(n, 2**0.5)
        factors.append((w @ h > 0).double().unsqueeze(1) * w)
        h = (w @ h).relu()
    return torch.stack(factors)


def scaled_factors(length, decades, rows, columns):
    """Orthogonal 8 × 8 matrices whose rows or columns differ by decades from one another."""
    scale = 10 ** (-decades * torch.rand(length, 8, dtype=torch.float64))
    w = torch.stack([orthogonal(8) for _ in range(length)])
    w = scale.unsqueeze(-1) * w if rows else w
    return w * scale.flip(1).unsqueeze(-2) if columns else w


LENGTHY = {"pixel RNN, gain 1.2", "tanh net, gain 1.5", "gaussian"}
LONG = {  # factors and the decades that their product spans, at least
    "tanh net, gain 0.9": (lambda: tanh_factors(8, 50, 0.9, False), 0),
    "tanh net, gain 1.5": (lambda: tanh_factors(12, 200, 1.5, False), 20),
    "gaussian": (lambda: randn(200, 12, 12) / 12**0.5, 20),
    "pixel RNN, gain 1.2": (lambda: tanh_factors(8, 784, 1.2, True), 20),
    "pixel RNN, gain 1.5": (lambda: tanh_factors(8, 784, 1.5, True), 300),
    "RNN, gain 3": (lambda: tanh_factors(6, 300, 3.0, True), 150),
    "rows": (lambda: scaled_factors(30, 20, True, False), 300),
    "columns": (lambda: scaled_factors(30, 20, False, True), 300),
    "rows and columns": (lambda: scaled_factors(20, 8, True, True), 100),
    "ascending": (
        lambda: (
            torch.triu(torch.tensor([[0.1, 1, 0.3], [0, 1, 2], [0, 0, 3]]))
            .double()
            .expand(300, 3, 3)
        ),
        400,
    ),
    "relu": (lambda: relu_factors(12, 5), 0),
}


@pytest.mark.parametrize(
    ("build", "decades"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.slow if name in LENGTHY else ())
        for name, case in LONG.items()
    ],
)
def test_every_singular_value_of_a_long_product_is_right_to_a_millionth(build, decades):
    factors = build()
    expected, found = exact(factors), log_singular_values(factors)
    assert expected[0] - expected[expected > -INF][-1] >= decades * math.log(10)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("length", [1, 3, 4, 5, 33, 784])
def test_of_any_number_of_factors_none_is_left_out(length):
    factors = tanh_factors(5, length, 1.05, True)
    torch.testing.assert_close(log_singular_values(factors), exact(factors), rtol=0, atol=1e-9)


@pytest.mark.parametrize("gain", [1e-300, 1e-3, 1.0, 1e3, 1e300])
def test_orthogonal_factors_multiply_their_gains(gain):
    factors = torch.stack([orthogonal(6, gain) for _ in range(784)])
    expected = torch.full((6,), 784 * math.log(gain), dtype=torch.float64)
    torch.testing.assert_close(log_singular_values(factors), expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_leading_axes_are_batch_axes(shape):
    factors = randn(40, *shape, 5, 5)
    found = log_singular_values(factors)
    assert found.shape == (*shape, 5)
    flat = factors.reshape(40, -1, 5, 5)
    for i, logs in enumerate(found.reshape(-1, 5)):
        torch.testing.assert_close(logs, exact(flat[:, i], 200), rtol=0, atol=1e-6)


def test_factors_may_come_one_by_one():
    factors = randn(20, 2, 4, 4)
    assert torch.equal(log_singular_values(iter(factors)), log_singular_values(factors))


def test_the_transposed_product_in_reverse_has_the_same_singular_values():
    factors = tanh_factors(7, 300, 1.5, True)
    found, reverse = log_singular_values(factors), log_singular_values(factors.flip(0).mT)
    torch.testing.assert_close(found, reverse, rtol=0, atol=1e-7)


def test_orthogonal_matrices_around_a_product_change_nothing():
    factors = tanh_factors(7, 100, 1.5, False)
    around = torch.cat([orthogonal(7)[None], factors, orthogonal(7)[None]])
    found = log_singular_values(around)
    torch.testing.assert_close(found, log_singular_values(factors), rtol=0, atol=1e-7)


def test_the_logarithms_add_up_to_those_of_the_determinants():
    factors = tanh_factors(9, 400, 1.5, True)
    expected = torch.linalg.slogdet(factors).logabsdet.sum()
    torch.testing.assert_close(log_singular_values(factors).sum(), expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("step", [1e-1, 1e-12, 1e-30])
def test_diagonal_factors_keep_their_diagonals(step):
    """784 factors span up to 70 000 decades: many windows of the last singular value decomposition."""
    diagonal = step ** (torch.arange(4, dtype=torch.float64) / 3)
    factors = torch.diag(diagonal[torch.tensor([2, 0, 3, 1])]).expand(784, 4, 4)
    torch.testing.assert_close(
        log_singular_values(factors), 784 * diagonal.log(), rtol=1e-12, atol=1e-9
    )


def test_windows_meet_without_a_seam():
    """Evenly spread over five spans: no gap to cut at."""
    n, span = 60, 5 * (SPAN + MARGIN)
    decay = torch.diag(torch.exp(-torch.linspace(0, span / 1000, n, dtype=torch.float64)))
    q = orthogonal(n)
    similar = (q @ decay @ q.mT).expand(1000, n, n)
    expected = 1000 * decay.diagonal().log()
    torch.testing.assert_close(log_singular_values(similar), expected, rtol=0, atol=1e-6)


def test_a_row_of_zeros_takes_one_singular_value_and_a_later_one_none_more():
    factors = tanh_factors(6, 30, 1.0, False)
    factors[3, 2] = factors[9, 4] = 0
    found = log_singular_values(factors)
    assert found[-1] == -INF and found[:-1].isfinite().all()
    torch.testing.assert_close(found, exact(factors), rtol=0, atol=1e-8)


def test_rows_and_columns_of_zeros_are_minus_infinity():
    factors = tanh_factors(6, 30, 1.0, False)
    factors[3, 2:4], factors[9, :, :3] = 0, 0
    torch.testing.assert_close(log_singular_values(factors), exact(factors), rtol=0, atol=1e-8)


@pytest.mark.parametrize("at", [0, 7, 19])
def test_a_factor_of_zeros_leaves_nothing(at):
    factors = randn(20, 3, 3)
    factors[at] = 0
    assert (log_singular_values(factors) == -INF).all()


def test_dependent_rows_are_minus_infinity():
    factors = tanh_factors(5, 20, 1.0, False)
    factors[4] = torch.outer(randn(5), randn(5))
    found = log_singular_values(factors)
    assert found[0].isfinite() and (found[1:] == -INF).all()


def test_only_the_examples_that_lose_rank_lose_it():
    factors = tanh_factors(5, 20, 1.0, False).unsqueeze(1).repeat(1, 3, 1, 1)
    factors[6, 1, 0] = 0
    found = log_singular_values(factors)
    assert found[1, -1] == -INF and found[[0, 2]].isfinite().all()
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=1e-12)


def test_single_precision_and_graphs_are_taken_as_they_are():
    factors = randn(10, 4, 4).float().requires_grad_()
    found = log_singular_values(factors)
    assert found.dtype == torch.float64 and not found.requires_grad
    expected = log_singular_values(factors.detach().double())
    assert torch.equal(found, expected)


def test_measuring_draws_nothing_from_the_generator_and_leaves_the_factors():
    factors = randn(10, 4, 4)
    state, before = torch.get_rng_state(), factors.clone()
    log_singular_values(factors)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(factors, before)


@pytest.mark.parametrize("value", [math.nan, INF])
@pytest.mark.parametrize("at", [0, 5, 9])
def test_a_factor_that_is_not_finite_is_refused(at, value):
    factors = randn(10, 4, 4)
    factors[at, 1, 2] = value
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        log_singular_values(factors)


def test_no_factors_have_no_product():
    with pytest.raises(ValueError, match="^a product needs at least one factor$"):
        log_singular_values(iter([]))
