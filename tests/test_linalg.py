import geoopt
import numpy as np
import pytest
import scipy.linalg
import torch
from cases import SHAPES, matrices, randn, same

from isogain.init import orthogonal_
from isogain.linalg import gram_error, orthogonality_gap, polar, smaller_gram, tangent

SQUARE_OR_TALL = [shape for shape in SHAPES if shape[-2] >= shape[-1]]


def gram_derivative(q, v):
    """d/dt of the smaller Gram matrix of q + t v at t = 0."""
    _, derivative = torch.autograd.functional.jvp(smaller_gram, q, v)
    return derivative


@pytest.mark.parametrize("shape", SHAPES)
def test_the_smaller_gram_has_the_squared_singular_values_as_eigenvalues(shape):
    w = randn(*shape)
    m = min(shape[-2:])
    assert smaller_gram(w).shape == (*shape[:-2], m, m)
    same(torch.linalg.eigvalsh(smaller_gram(w)).flip(-1), torch.linalg.svdvals(w).square())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gram_error_is_what_separates_the_scaled_gram_from_the_identity(shape):
    w, gain = randn(*shape), 1.3
    for matrix, error in zip(matrices(w), matrices(gram_error(w, gain)), strict=True):
        a = (matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT).numpy()
        expected = np.einsum("ij,ik->jk", a, a) / gain**2 - np.eye(a.shape[1])
        same(error, torch.from_numpy(expected))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gap_is_the_root_mean_square_of_s2_over_g2_minus_1(shape):
    w, gain = randn(*shape), 0.8
    s = np.linalg.svd(w.numpy(), compute_uv=False)
    expected = np.sqrt(np.mean((s**2 / gain**2 - 1) ** 2, axis=-1))
    same(orthogonality_gap(w, gain), torch.as_tensor(expected))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gap_vanishes_at_gain_times_orthogonal_alone(shape):
    q = orthogonal_(randn(*shape))
    assert orthogonality_gap(1.7 * q, 1.7).max() < 1e-14
    same(orthogonality_gap(2 * q, 1.0), torch.full(shape[:-2], 3.0, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_polar_is_the_unitary_factor_of_scipy(shape):
    w = randn(*shape)
    for matrix, nearest in zip(matrices(w), matrices(polar(w)), strict=True):
        side = "right" if matrix.shape[0] >= matrix.shape[1] else "left"
        factor, _ = scipy.linalg.polar(matrix.numpy(), side=side)
        same(nearest, torch.from_numpy(factor))


def test_polar_refuses_nan():
    w = randn(2, 4, 4)
    w[1, 2, 3] = torch.nan
    with pytest.raises(torch.linalg.LinAlgError):
        polar(w)


@pytest.mark.parametrize("shape", SQUARE_OR_TALL)
def test_tangent_is_the_euclidean_projection_of_geoopt(shape):
    q, g = orthogonal_(randn(*shape)), randn(*shape)
    manifold = geoopt.EuclideanStiefel()
    same(tangent(q, g), manifold.proju(q, g))
    same(tangent(q, g), manifold.egrad2rgrad(q, g))


def test_tangent_of_a_wide_matrix_is_that_of_its_transpose():
    q, g = orthogonal_(randn(3, 5, 8)), randn(3, 5, 8)
    same(tangent(q, g), geoopt.EuclideanStiefel().proju(q.mT, g.mT).mT)


@pytest.mark.parametrize("shape", SHAPES)
def test_tangent_vectors_do_not_leave_the_manifold_to_first_order(shape):
    q = orthogonal_(randn(*shape))
    assert gram_derivative(q, tangent(q, randn(*shape))).abs().max() < 1e-13


@pytest.mark.parametrize("shape", SHAPES)
def test_what_tangent_removes_is_normal_to_what_it_keeps(shape):
    q, g, h = orthogonal_(randn(*shape)), randn(*shape), randn(*shape)
    kept = tangent(q, h)
    same(tangent(q, kept), kept)
    inner = ((g - tangent(q, g)) * kept).sum((-2, -1))
    same(inner, torch.zeros(shape[:-2], dtype=torch.float64))
