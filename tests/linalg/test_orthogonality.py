import math

import geoopt
import numpy as np
import pytest
import scipy.linalg
import torch
from cases import SHAPES, matrices, randn, same
from torch.utils.flop_counter import FlopCounterMode

from isogain.init import orthogonal_
from isogain.linalg import (
    check_finite,
    gram_error,
    orthogonality_gap,
    orthonormal,
    pieces,
    polar,
    skew,
    smaller_gram,
    solve,
    stacks,
    svd,
    symmetric_product,
    tall,
    tangent,
    transposed,
)

SQUARE_OR_TALL = [shape for shape in SHAPES if shape[-2] >= shape[-1]]


def gram_derivative(q, v):
    """d/dt of the smaller Gram matrix of q + t v at t = 0."""
    _, derivative = torch.autograd.functional.jvp(smaller_gram, q, v)
    return derivative


def gives_up(*args, **options):
    raise torch.linalg.LinAlgError("The algorithm failed to converge")


def gives_nan(w, **options):
    m = min(w.shape[-2:])
    shapes = (*w.shape[:-1], m), (*w.shape[:-2], m), (*w.shape[:-2], m, w.shape[-1])
    return tuple(w.new_full(shape, torch.nan) for shape in shapes)


def gives_one_nan(w, **options):
    parts = [torch.from_numpy(part) for part in np.linalg.svd(w.numpy(), full_matrices=False)]
    parts[2].view(-1)[-1] = torch.nan
    return tuple(parts)


def gives_a_wrong_vector(w, **options):
    """As MKL's gesdd does once in some thousand nearly orthogonal matrices, with a line about SLASCL."""
    parts = [torch.from_numpy(part) for part in np.linalg.svd(w.numpy(), full_matrices=False)]
    parts[0][..., 0] *= 2
    return tuple(parts)


def is_thin_svd(parts, w, rounding):
    """Whether U s Vᵀ = W with orthonormal columns of U, rows of Vᵀ, and descending s ≥ 0."""
    u, s, vh = parts
    m = min(w.shape[-2:])
    assert u.shape == (*w.shape[:-1], m) and vh.shape == (*w.shape[:-2], m, w.shape[-1])
    assert u.dtype == s.dtype == vh.dtype == w.dtype
    eye = torch.eye(m, dtype=w.dtype).expand(*w.shape[:-2], m, m)
    close = {"rtol": 0, "atol": rounding}
    torch.testing.assert_close((u * s.unsqueeze(-2)) @ vh, w, **close)
    torch.testing.assert_close(u.mT @ u, eye, **close)
    torch.testing.assert_close(vh @ vh.mT, eye, **close)
    assert (s.diff() <= rounding).all() and (s >= 0).all()
    expected = np.linalg.svd(w.double().numpy(), compute_uv=False)
    torch.testing.assert_close(s.double(), torch.from_numpy(expected), **close)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_smaller_gram_has_the_squared_singular_values_as_eigenvalues(shape):
    w = randn(*shape)
    m = min(shape[-2:])
    assert smaller_gram(w).shape == (*shape[:-2], m, m)
    same(torch.linalg.eigvalsh(smaller_gram(w)).flip(-1), torch.linalg.svdvals(w).square())


BANDED = [(1, 727, 300), (2, 520, 511), (9, 257, 300), (2, 3, 300, 300)]  # large enough for bands
assert all(math.prod(shape) * shape[-2] >= stacks.WORTH for shape in BANDED)


@pytest.mark.parametrize("shape", [*SHAPES, *BANDED])
def test_half_of_a_symmetric_product_is_the_whole(shape):
    w, middle = randn(*shape) / shape[-1], randn(shape[-1], shape[-1])
    ours = symmetric_product(w, (middle + middle.mT) @ w.mT)
    same(ours, w @ (middle + middle.mT) @ w.mT)


@pytest.mark.parametrize("shape", BANDED)
def test_large_symmetric_products_leave_out_what_they_know(shape):
    with FlopCounterMode(display=False) as counter:
        symmetric_product(randn(*shape), randn(*shape).mT)
    count, n, k = math.prod(shape[:-2]), *shape[-2:]
    assert counter.get_total_flops() < 0.63 * 2 * count * n * n * k


@pytest.mark.parametrize("shape", BANDED[:2])
def test_a_large_symmetric_product_has_the_gradient_of_a_plain_one(shape):
    w, weights = randn(*shape).requires_grad_(), randn(shape[-2], shape[-2]) / shape[-2]
    (ours,) = torch.autograd.grad((symmetric_product(w, w.mT) * weights).sum(), w)
    same(ours, (weights + weights.mT) @ w.detach())


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


@pytest.mark.parametrize("shape", SHAPES)
def test_gap_and_gram_error_take_a_gain_for_every_matrix(shape):
    w, gain = randn(*shape), 0.5 + torch.rand(*shape[:-2], 1, 1, dtype=torch.float64)
    errors, gaps = matrices(gram_error(w, gain)), orthogonality_gap(w, gain)
    assert gaps.shape == shape[:-2]
    rows = zip(matrices(w), gain.flatten(), errors, gaps.flatten(), strict=True)
    for matrix, g, error, gap in rows:
        same(error, gram_error(matrix, g.item()))
        same(gap, orthogonality_gap(matrix, g.item()))
    assert orthogonality_gap(gain * orthogonal_(randn(*shape)), gain).max() < 1e-14


@pytest.mark.parametrize("shape", SHAPES)
def test_polar_in_single_precision_stays_the_nearest(shape):
    w = randn(*shape)
    torch.testing.assert_close(polar(w.float()).double(), polar(w), rtol=0, atol=1e-4)
    assert orthogonality_gap(polar(w.float()).double()).max() < 3e-7


def test_polar_leaves_a_few_roundings_of_single_precision_where_the_svd_leaves_many():
    w = torch.randn(256, 256)
    u, _, vh = torch.linalg.svd(w)
    left = orthogonality_gap(polar(w).double())
    assert left < 5e-7
    assert left < 0.7 * orthogonality_gap((u @ vh).double())


@pytest.mark.parametrize("shape", SHAPES)
def test_polar_of_an_orthogonal_matrix_is_that_matrix(shape):
    q = orthogonal_(randn(*shape))
    same(polar(1.7 * q), q)


@pytest.mark.parametrize("shape", SHAPES)
def test_polar_of_a_matrix_without_full_rank_is_orthogonal(shape):
    w = randn(*shape)
    w[..., 1, :] = w[..., :, 1] = 0
    for matrix in (w, 0 * w):
        assert orthogonality_gap(polar(matrix)).max() < 1e-14


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


# pieces of a stack


@pytest.mark.parametrize("cached", [1, 30, 60, 89, 90, 10**6])
@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_are_views_that_cover_a_stack_once_and_in_order(monkeypatch, shape, cached):
    monkeypatch.setattr(stacks, "CACHED", cached)
    w = randn(*shape)
    found = [piece for (piece,) in pieces(w)]
    assert torch.equal(torch.cat(found), w.view(-1, *shape[-2:]))
    assert all(len(piece) == 1 or piece.numel() <= cached for piece in found)
    before = w.clone()
    for piece in found:
        piece += 1
    assert torch.equal(w, before + 1)


@pytest.mark.parametrize(
    "cached, sizes", [(1, [1] * 8), (25, [1] * 8), (80, [3, 3, 2]), (200, [8])]
)
def test_a_piece_has_as_many_matrices_as_the_cache_holds(monkeypatch, cached, sizes):
    monkeypatch.setattr(stacks, "CACHED", cached)
    assert [len(piece) for (piece,) in pieces(randn(2, 4, 5, 5))] == sizes


@pytest.mark.parametrize("cached", [1, 80, 10**6])
def test_pieces_of_several_stacks_hold_the_same_matrices(monkeypatch, cached):
    monkeypatch.setattr(stacks, "CACHED", cached)
    w = randn(2, 4, 5, 5)
    gram, trace = smaller_gram(w), w.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    for piece, its_gram, its_trace in pieces(w, gram, trace.contiguous()):
        assert torch.equal(piece.mT @ piece, its_gram)
        same(torch.einsum("bii->b", piece), its_trace.view(-1))


def test_off_the_cpu_a_stack_is_one_piece(monkeypatch):
    monkeypatch.setattr(stacks, "CACHED", 1)
    w, gain = torch.empty(2, 4, 5, 5, device="meta"), torch.empty(2, 4, 1, 1, device="meta")
    assert [tuple(p.shape for p in piece) for piece in pieces(w, gain)] == [((8, 5, 5), (8, 1, 1))]


def test_stacks_of_different_lengths_are_refused(monkeypatch):
    monkeypatch.setattr(stacks, "CACHED", 1)
    with pytest.raises(ValueError):
        list(pieces(randn(3, 5, 5), randn(2, 5, 5)))


# shapes and symmetry


@pytest.mark.parametrize("shape", SHAPES)
def test_tall_is_a_view_with_no_fewer_rows_than_columns(shape):
    w = randn(*shape)
    x = tall(w)
    assert x.shape == (*shape[:-2], max(shape[-2:]), min(shape[-2:]))
    same(torch.linalg.svdvals(x), torch.linalg.svdvals(w))
    x.zero_()
    assert not w.any()
    assert shape[-2] < shape[-1] or x is w


@pytest.mark.parametrize("shape", [(6, 6), (4, 6, 6), (512, 512), (2, 512, 512), (3, 1024)])
def test_the_transposed_is_the_transpose(shape):
    a = randn(*shape)
    assert torch.equal(transposed(a), a.mT)


@pytest.mark.parametrize("shape", [(6, 6), (4, 6, 6)])
def test_skew_is_the_nearest_matrix_that_is_minus_its_transpose(shape):
    a, other = randn(*shape), randn(*shape)
    before, found = a.clone(), skew(a)
    same(found, -found.mT)
    same(((a - found) * (other - other.mT)).sum((-2, -1)), torch.zeros(shape[:-2]).double())
    assert torch.equal(a, before)


# QR and SVD


@pytest.mark.parametrize("shape", SHAPES)
def test_orthonormal_is_the_q_of_numpy_with_a_positive_diagonal_of_r(shape):
    w = randn(*shape)
    for matrix, found in zip(matrices(w), matrices(orthonormal(w)), strict=True):
        q, r = np.linalg.qr(tall(matrix).numpy())
        expected = q * np.sign(np.diag(r))
        same(tall(found), torch.from_numpy(expected))
        r = tall(found).mT @ tall(matrix)
        assert (r.diagonal() > 0).all()
        assert r.tril(-1).abs().max() < 1e-14


@pytest.mark.parametrize("shape", SHAPES)
def test_orthonormal_of_a_matrix_without_full_rank_is_orthogonal(shape):
    w = randn(*shape)
    w[..., 1, :] = w[..., :, 1] = 0
    for matrix in (w, 0 * w):
        assert orthogonality_gap(orthonormal(matrix)).max() < 1e-14


@pytest.mark.parametrize("dtype, rounding", [(torch.float64, 1e-13), (torch.float32, 5e-6)])
@pytest.mark.parametrize("shape", SHAPES)
def test_svd_is_the_thin_one(shape, dtype, rounding):
    w = randn(*shape).to(dtype)
    is_thin_svd(svd(w), w, rounding)


@pytest.mark.parametrize("dtype, rounding", [(torch.float64, 1e-10), (torch.float32, 5e-6)])
@pytest.mark.parametrize("lapack", [gives_up, gives_nan, gives_one_nan, gives_a_wrong_vector])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_lapack_fails_svd_still_is_the_thin_one(monkeypatch, shape, lapack, dtype, rounding):
    w, orthogonal = randn(*shape).to(dtype), orthogonal_(randn(*shape)).to(dtype)
    monkeypatch.setattr(torch.linalg, "svd", lapack)
    is_thin_svd(svd(w), w, rounding)
    is_thin_svd(svd(1.2 * orthogonal), 1.2 * orthogonal, rounding)


@pytest.mark.parametrize("lapack", [gives_up, gives_nan])
@pytest.mark.parametrize("small", [1e-3, 1e-6, 1e-9, 0.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_lapack_fails_a_small_singular_value_does_no_harm(monkeypatch, shape, small, lapack):
    w = orthogonal_(randn(*shape))
    tall(w)[..., 1] *= small
    monkeypatch.setattr(torch.linalg, "svd", lapack)
    is_thin_svd(svd(w), w, 1e-7)
    assert orthogonality_gap(polar(w)).max() < 1e-12


@pytest.mark.parametrize("lapack", [gives_up, gives_nan])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_lapack_fails_polar_is_the_unitary_factor_still(monkeypatch, shape, lapack):
    w = randn(*shape)
    expected = polar(w)
    monkeypatch.setattr(torch.linalg, "svd", lapack)
    torch.testing.assert_close(polar(w), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("act", [check_finite, svd, polar])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("shape", SHAPES)
def test_entries_that_are_not_finite_are_refused(shape, bad, act):
    w = randn(*shape)
    act(w)
    w.view(-1)[-1] = bad
    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        act(w)


@pytest.mark.parametrize("shape", [(7, 7), (2, 256, 256), (1, 2, 3, 170, 170)])
def test_a_stack_is_solved_matrix_by_matrix_on_however_many_threads(cores, shape):
    """As torch.linalg.solve does not: the residuals of a stack of 256 × 256 were 1e9 and more on two threads."""
    a, b = randn(*shape).float(), randn(*shape)[..., :5].float()
    expected = np.linalg.solve(a.double().numpy(), b.double().numpy())
    error = np.linalg.norm(solve(a, b).double().numpy() - expected) / np.linalg.norm(expected)
    assert error < 1e-2
