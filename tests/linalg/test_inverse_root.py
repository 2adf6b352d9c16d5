import numpy as np
import pytest
import scipy.special
import torch
from cases import randn, slow_but

from isogain.init import orthogonal_
from isogain.linalg import bfloat16, inverse_root
from isogain.linalg.bfloat16 import rough_product
from isogain.linalg.inverse_root import SAFETY, correction, first_gap, fitted, inexactness

CUTS = [(1, 0.01, 1.0), (2, 0.01, 1e-5), (4, 0.01, 1e-14), (4, 0.5, None)]  # terms, ‖E‖, tolerance


def symmetric(kind, m, size):
    """Three symmetric matrices of spectral norm `size`."""
    q, scale = orthogonal_(randn(3, m, m)), torch.zeros(3, 1, m, dtype=torch.float64)
    scale[..., :1] = -1.0 if kind == "shrinking" else 1.0
    if kind == "generic":
        scale = 2 * torch.rand_like(scale) - 1
        scale = scale / scale.abs().amax(-1, keepdim=True)
    return size * (q * scale) @ q.mT


def left_by(error, twice):
    """√m times the gap that the correction leaves in W, where WᵀW = I + E."""
    eye = torch.eye(error.shape[-1], dtype=error.dtype)
    root = eye - twice / 2
    return torch.linalg.matrix_norm(root @ (eye + error) @ root - eye)


@pytest.mark.parametrize("m", [1, 5, 32])
@pytest.mark.parametrize("terms, size, tolerance", CUTS)
def test_the_correction_is_the_binomial_series_cut_short(m, terms, size, tolerance):
    error = symmetric("generic", m, size)
    values, q = torch.linalg.eigh(error)
    series = sum(scipy.special.binom(-0.5, k) * values**k for k in range(1, terms + 1))
    found, _, _ = correction(error, tolerance)
    torch.testing.assert_close(found, (q * -2 * series.unsqueeze(-2)) @ q.mT, rtol=0, atol=2e-14)


@pytest.mark.parametrize("kind", ["generic", "stretching", "shrinking"])
@pytest.mark.parametrize("m", [1, 5, 8])
@pytest.mark.parametrize("size", [1e-8, 1e-4, 0.01, 0.1, 0.5, 0.8])
def test_the_gap_told_is_at_least_the_gap_left(kind, m, size):
    error = symmetric(kind, m, size)
    for tolerance in (1e-14, 1e-7, 1e-4, 1e-2, 1.0):
        twice, _, left = correction(error.clone(), tolerance)
        assert left_by(error, twice).max() <= left * m**0.5 + 1e-14


@pytest.mark.parametrize("m", [1, 5, 32])
@pytest.mark.parametrize("size", [1e-8, 1e-4, 0.01, 0.1, 0.5, 0.8])
def test_the_gap_told_is_of_the_order_of_the_gap_left(m, size):
    """Else steps would be taken that nothing needs: a factor 1/0.6 for the cut, and up to √m for the norm."""
    error = symmetric("stretching", m, size)
    for tolerance in (1e-14, 1e-4):
        twice, _, left = correction(error.clone(), tolerance)
        assert left * m**0.5 <= 10 * left_by(error, twice).max() + 1e-14


@pytest.mark.parametrize("kind", ["generic", "stretching", "shrinking"])
@pytest.mark.parametrize("m", [1, 5, 32])
@pytest.mark.parametrize("terms, size, tolerance", CUTS)
def test_the_correction_makes_the_inverse_square_root_up_to_the_gap(
    terms, size, tolerance, m, kind
):
    error = symmetric(kind, m, size)
    values, q = torch.linalg.eigh(error)
    exact = (q * ((1 + values) ** -0.5 - 1).unsqueeze(-2)) @ q.mT
    found, _, _ = correction(error.clone(), tolerance)
    off = torch.linalg.matrix_norm(-found / 2 - exact)
    assert off.max() <= 2 * size ** (terms + 1) * m**0.5


@pytest.mark.parametrize("kind", ["generic", "stretching", "shrinking"])
@pytest.mark.parametrize("m", [1, 5, 32])
@pytest.mark.parametrize("terms, size, tolerance", CUTS)
def test_the_size_told_is_at_least_the_spectral_norm(terms, size, tolerance, m, kind):
    error = symmetric(kind, m, size)
    spectral = torch.linalg.matrix_norm(error, 2)
    _, told, _ = correction(error, tolerance)
    assert told.shape == (3,)
    assert (told >= spectral * (1 - 1e-12)).all()
    assert (told <= spectral * 2 * m**0.5).all()


# estimates


def first_gaps(error):
    """Of the largest matrix of a stack: exactly, as told for a tolerance, and the bounds of it."""
    m = error.shape[-1]
    norm = torch.linalg.matrix_norm(error).max().item()
    upper = (0.75 + norm / 4) * norm**2 / m**0.5
    exact = (0.75 + norm / 4) * torch.linalg.matrix_norm(error @ error).max().item() / m**0.5
    lower = upper / m**0.5
    return exact, lambda tolerance: first_gap(error, norm, tolerance), (lower, upper)


@pytest.mark.parametrize("kind", ["generic", "stretching"])
@pytest.mark.parametrize("m", [1, 5, 16, 32])
def test_the_gap_of_the_first_cut_is_bounded_where_that_decides(m, kind):
    exact, told, (lower, upper) = first_gaps(symmetric(kind, m, 0.3)[:1])
    assert lower * (1 - 1e-12) <= exact <= upper * (1 + 1e-12)
    assert told(2 * upper) == pytest.approx(upper)
    assert told(lower / 2) > lower / 2


@pytest.mark.parametrize("m", [5, 16])
def test_up_to_sixteen_columns_it_is_known_between_the_bounds(m):
    exact, told, bounds = first_gaps(symmetric("generic", m, 0.3)[:1])
    assert told(np.prod(bounds) ** 0.5) == pytest.approx(SAFETY * exact)


@pytest.mark.parametrize("m", [20, 32, 100, 256])
def test_a_generic_one_is_estimated_on_the_safe_side(m):
    for _ in range(20):
        error = randn(1, m, m)
        exact, told, bounds = first_gaps(1e-3 * (error + error.mT))
        assert 1 <= told(np.prod(bounds) ** 0.5) / exact < 2 * SAFETY


@pytest.mark.parametrize("m", [5, 16])
@pytest.mark.parametrize("directions", [1, 2, 3, 5])
def test_a_fit_of_up_to_two_eigenvalues_leaves_nothing_and_of_more_the_least_squares(directions, m):
    """Up to sixteen columns the random vectors are the basis, so that the fit is exact."""
    q = orthogonal_(randn(1, m, directions))
    values = (
        0.1 * (1 + torch.rand(directions, dtype=torch.float64)) * (-1) ** torch.arange(directions)
    )
    error = (q * values) @ q.mT
    a, b, gap = fitted(error, error @ error)
    powers = torch.stack([values, values**2], -1)
    best = torch.linalg.lstsq(powers, values.unsqueeze(-1) ** 3, driver="gelsd").solution.squeeze(
        -1
    )
    rest = torch.linalg.vector_norm(values**3 - powers @ best).item()
    assert gap == pytest.approx(SAFETY * 0.625 * rest / m**0.5, rel=1e-6, abs=1e-16)
    series = (1 + 0.625 * best[0]) * values + (0.625 * best[1] - 0.75) * values**2
    torch.testing.assert_close(a * error + b * (error @ error), (q * series) @ q.mT)


@pytest.mark.parametrize("m", [1, 5, 32])
def test_nothing_is_fitted_to_zero(m):
    a, b, gap = fitted(torch.zeros(2, m, m), torch.zeros(2, m, m))
    assert torch.equal(a, torch.ones(2, 1, 1)) and torch.equal(b, torch.full((2, 1, 1), -0.75))
    assert gap == 0


def concentrated(m, size, directions=2, dtype=torch.float64):
    """Two symmetric matrices, most of them in a few directions, like what a step of Adam leaves; ‖E²‖_F^½ = `size`."""
    u = randn(2, m, directions)
    values = 1 + torch.rand(directions, dtype=torch.float64)
    values *= (-1) ** torch.arange(directions)
    noise = randn(2, m, m)
    error = (u * values) @ u.mT + 0.2 * (noise + noise.mT)
    return (size * error / torch.linalg.matrix_norm(error @ error).amax() ** 0.5).to(dtype)


@pytest.mark.parametrize("m", [64, 150])
def test_where_two_directions_hold_most_of_it_a_fit_spares_a_product(m):
    for _ in range(10):
        error = concentrated(m, 0.03)
        plain = 0.625 * 0.03**3 / m**0.5
        twice, size, left = correction(error.clone(), plain / 3)
        a, b, gap = fitted(error, error @ error)
        torch.testing.assert_close(twice, a * error + b * (error @ error), rtol=0, atol=1e-15)
        assert left_by(error, twice).max() / m**0.5 <= left <= plain / 3


# rough products


@pytest.fixture
def instructions(monkeypatch):
    """A CPU that has instructions for bfloat16, on which small products pay already."""
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(bfloat16, "WORTH", 0)


SIZES = [1e-4, 1e-3, 0.01, 0.03, 0.05, 0.1, 0.3, 0.8]  # of E


@pytest.mark.parametrize("kind", ["generic", "stretching", "shrinking", "concentrated"])
@pytest.mark.parametrize("m", [17, 64, 150])
@pytest.mark.parametrize("size", SIZES)
def test_with_rough_products_the_gap_told_is_at_least_the_gap_left(instructions, kind, m, size):
    error = concentrated(m, size) if kind == "concentrated" else symmetric(kind, m, size)
    error = error.float()
    for tolerance in (1e-7, 1.5e-6, 1e-4):
        twice, _, left = correction(error.clone(), tolerance)
        assert left_by(error.double(), twice.double()).max() / m**0.5 <= left + 1e-7


@pytest.mark.parametrize("m", [17, 64, 150])
@pytest.mark.parametrize("size", SIZES)
def test_a_rough_product_never_keeps_the_gap_from_its_tolerance(instructions, monkeypatch, m, size):
    error = concentrated(m, size, dtype=torch.float32)
    for tolerance in (1e-7, 1.5e-6, 1e-5):
        _, _, rough_left = correction(error.clone(), tolerance)
        with monkeypatch.context() as patch:
            patch.setattr(bfloat16, "multiplies_bfloat16", lambda: False)
            _, _, exact_left = correction(error.clone(), tolerance)
        assert rough_left <= tolerance or exact_left > tolerance


@pytest.mark.parametrize("size, exact", [(0.01, 0), (0.05, 0), (0.1, 1), (0.2, 0)])
def test_an_exact_square_follows_only_where_a_rough_one_is_what_fails(
    instructions, monkeypatch, size, exact
):
    """At 0.2 no cut keeps the tolerance, and the next pass takes off what this one was off."""
    lost = []
    by_square = inverse_root.by_square
    monkeypatch.setattr(
        inverse_root, "by_square", lambda *args: lost.append(args[-1]) or by_square(*args)
    )
    correction(concentrated(150, size, dtype=torch.float32), 1e-6)
    assert lost == [bfloat16.LOST, 0.0][: 1 + exact]


@pytest.mark.parametrize("m", slow_but([17, 64, 256], 0, 1))
def test_how_inexact_a_square_is_is_estimated_on_the_safe_side(m):
    for _ in range(20):
        error = concentrated(m, 0.1, dtype=torch.float32)
        square = rough_product(error, error)
        off = (
            torch.linalg.matrix_norm(error.double() @ error.double() - square.double()).max().item()
        )
        assert 1 <= inexactness(error, square) / off < 2 * SAFETY
