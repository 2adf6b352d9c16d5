import math
from functools import wraps

import geoopt
import numpy as np
import pytest
import scipy.linalg
import torch
from cases import randn, same

from isogain.init import orthogonal_
from isogain.linalg import bfloat16, orthogonality_gap, skew
from isogain.linalg.retractions import (
    cayley_frame,
    cayley_plane,
    exponential,
    polar_frame,
    polar_plane,
    qr_frame,
    qr_plane,
)
from isogain.reg.stiefel import Stiefel

SQUARE = [(1, 6, 6), (3, 5, 5)]
TALL = [(1, 8, 5), (3, 7, 4)]


def in_frame(retract):
    """R(V, D) as a function of the step VD."""

    @wraps(retract)
    def plane(v, step):
        return retract(v, v.mT @ step)

    return plane


def newton_schulz(v, step):
    """The retraction that a Stiefel takes on its way, where an optimiser's step is D or Δ."""
    w, reg = v.clone(), Stiefel(retraction="newton_schulz")
    reg.before_step(w)
    w.add_(v.mT @ step if v.shape[-2] == v.shape[-1] else step)
    reg.after_step(w, {})
    return w


def cases(shapes, *retractions):
    return [
        pytest.param(retract, shape, id=f"{retract.__name__}-{shape}")
        for retract in retractions
        for shape in shapes
    ]


POLAR_SQUARE = cases(SQUARE, polar_plane, in_frame(polar_frame))
POLAR_TALL = cases(TALL, polar_plane, newton_schulz)
QR = cases(SQUARE + TALL, qr_plane) + cases(SQUARE, in_frame(qr_frame))
CAYLEY_SQUARE = cases(SQUARE, cayley_plane, in_frame(cayley_frame))
CAYLEY_TALL = cases(TALL, cayley_plane)
NEWTON_SCHULZ_SQUARE = cases(SQUARE, newton_schulz)
ALL = POLAR_SQUARE + POLAR_TALL + CAYLEY_SQUARE + CAYLEY_TALL + QR + NEWTON_SCHULZ_SQUARE


def start(shape, size=1.0):
    """A point V and a tangent step of Frobenius norm `size` a matrix: the orthogonal group moves V by skew XV."""
    v, x = orthogonal_(randn(*shape)), randn(*shape[:-1], shape[-2])
    step = (x - x.mT) @ v
    return v, size * step / torch.linalg.matrix_norm(step, keepdim=True)


def expm(a):
    return torch.from_numpy(scipy.linalg.expm(a.numpy()))


def straight(v, step):
    return v + step


def group_geodesic(v, step):
    """Of the orthogonal group, where both metrics have the same."""
    return v @ expm(v.mT @ step)


def euclidean_geodesic(v, step):
    """Edelman, Arias and Smith 1998, equation 2.42 at t = 1."""
    a, s, eye = v.mT @ step, step.mT @ step, torch.eye(v.shape[-1]).expand(*v.mT.shape[:-1], -1)
    top, bottom = torch.cat([a, -s], -1), torch.cat([eye, a], -1)
    k = v.shape[-1]
    return torch.cat([v, step], -1) @ expm(torch.cat([top, bottom], -2))[..., :k] @ expm(-a)


def canonical_geodesic(v, step):
    """Edelman, Arias and Smith 1998, equation 2.31: Q exp([A −Bᵀ; B 0]) with QᵀΔ = [A; B] and V = Q[I; 0]."""
    k = v.shape[-1]
    q = torch.from_numpy(np.linalg.qr(v.numpy(), mode="complete")[0].copy())
    q[..., :k] = v
    turn = torch.zeros_like(q.mT @ q)
    turn[..., :k] = q.mT @ step
    turn[..., :k, k:] = -turn[..., k:, :k].mT
    return (q @ expm(turn))[..., :k]


def order(retract, curve, shape, t):
    """The p of ‖R(tΔ) − γ(t)‖ = O(t^p), from t to t/2."""
    v, step = start(shape)
    far, near = ((retract(v, s * step) - curve(v, s * step)).norm().item() for s in (t, t / 2))
    return math.log2(far / near)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("retract", "shape"), ALL)
def test_a_step_of_any_size_ends_on_the_manifold(retract, shape, size):
    assert orthogonality_gap(retract(*start(shape, size))).max() < 1e-13 * max(size, 1)


@pytest.mark.parametrize(("retract", "shape"), ALL)
def test_no_step_leads_nowhere(retract, shape):
    v, _ = start(shape)
    same(retract(v, torch.zeros_like(v)), v)


@pytest.mark.parametrize(("retract", "shape"), ALL)
def test_the_step_is_the_velocity_at_the_start(retract, shape):
    assert order(retract, straight, shape, 1e-2) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("curve", [group_geodesic, euclidean_geodesic, canonical_geodesic])
@pytest.mark.parametrize(("retract", "shape"), POLAR_SQUARE + CAYLEY_SQUARE)
def test_polar_and_cayley_follow_the_geodesic_of_the_group_to_second_order(retract, shape, curve):
    assert order(retract, curve, shape, 1e-2) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("shape", SQUARE)
def test_newton_schulz_follows_the_geodesic_of_the_group_to_fourth_order(shape):
    assert order(newton_schulz, group_geodesic, shape, 0.2) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(("retract", "shape"), POLAR_TALL)
def test_polar_follows_the_euclidean_geodesic_to_second_order_and_the_canonical_to_first(
    retract, shape
):
    assert order(retract, euclidean_geodesic, shape, 1e-2) == pytest.approx(3, abs=0.05)
    assert order(retract, canonical_geodesic, shape, 1e-2) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(("retract", "shape"), CAYLEY_TALL)
def test_cayley_follows_the_canonical_geodesic_to_second_order_and_the_euclidean_to_first(
    retract, shape
):
    assert order(retract, canonical_geodesic, shape, 1e-2) == pytest.approx(3, abs=0.05)
    assert order(retract, euclidean_geodesic, shape, 1e-2) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("curve", [euclidean_geodesic, canonical_geodesic])
@pytest.mark.parametrize(("retract", "shape"), QR)
def test_qr_follows_geodesics_to_first_order_alone(retract, shape, curve):
    assert order(retract, curve, shape, 1e-2) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("shape", TALL)
def test_geoopt_has_the_same_euclidean_geodesic(shape):
    v, step = start(shape)
    same(geoopt.EuclideanStiefel().expmap(v, step), euclidean_geodesic(v, step))


@pytest.mark.parametrize(("retract", "shape"), QR)
def test_qr_is_the_retraction_of_geoopt(retract, shape):
    v, step = start(shape)
    same(retract(v, step), geoopt.EuclideanStiefel().retr(v, step))


@pytest.mark.parametrize(("retract", "shape"), POLAR_SQUARE + POLAR_TALL)
def test_polar_is_the_projection_of_geoopt_after_a_straight_step(retract, shape):
    v, step = start(shape)
    same(retract(v, step), geoopt.EuclideanStiefel().projx(v + step))


@pytest.mark.parametrize(("retract", "shape"), CAYLEY_SQUARE + CAYLEY_TALL)
def test_cayley_is_the_retraction_of_geoopt(retract, shape):
    """Which takes A = ΔVᵀ − VΔᵀ and so needs (I − VVᵀ/2)Δ for AV to be Δ."""
    v, step = start(shape)
    halved = step - v @ (v.mT @ step) / 2
    same(retract(v, step), geoopt.CanonicalStiefel().retr(v, halved))


@pytest.mark.parametrize(("retract", "shape"), CAYLEY_SQUARE + CAYLEY_TALL)
def test_cayley_back_from_where_it_led_is_where_it_began(retract, shape):
    """The step back is −AV at the new point, the curve being a one-parameter family of rotations."""
    v, step = start(shape)
    half = step - v @ (v.mT @ step) / 2
    end = retract(v, step)
    same(retract(end, -(half @ v.mT - v @ half.mT) @ end), v)


def skew_of_size(shape, size):
    """A random skew matrix of spectral norm `size`."""
    d = skew(randn(*shape))
    return size * d / torch.linalg.matrix_norm(d, 2, keepdim=True)


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize(("tolerance", "terms"), [(math.inf, 2), (0.0, 4), (None, 4)])
def test_the_exponential_lacks_only_the_terms_after_its_cut(tolerance, terms, shape):
    """Eigenvalue iθ misses θⁿ/n! and less; the largest θ is the spectral norm."""
    size, n = 0.1, terms + 1
    d = skew_of_size(shape, size)
    missing = expm(d) - torch.eye(shape[-1]) - exponential(d, tolerance)[0]
    norms = torch.linalg.matrix_norm(missing, 2).flatten().tolist()
    assert norms == pytest.approx([size**n / math.factorial(n)] * len(norms), rel=1e-3)


@pytest.mark.parametrize("size", [0.03, 0.3])
@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize(("tolerance", "slack"), [(math.inf, 0.5), (0.0, 1.0)])
def test_the_exponential_bounds_the_gap_it_leaves_and_not_by_more_than_norms_differ(
    tolerance, slack, shape, size
):
    """‖D²‖²_F <= √n ‖D⁴‖_F and ‖D²‖³_F <= n ‖D⁶‖_F; the slack also covers θ⁸/576 twice."""
    q, bound = exponential(skew_of_size(shape, size), tolerance)
    gap = orthogonality_gap(q + torch.eye(shape[-1])).max().item()
    assert gap <= bound + 1e-15
    assert bound <= 1.05 * shape[-1] ** slack * gap + 1e-15


@pytest.mark.parametrize("shape", SQUARE)
def test_the_exponential_is_cut_at_second_order_exactly_where_that_keeps_the_tolerance(shape):
    d = skew_of_size(shape, 0.1)
    short, bound = exponential(d, math.inf)
    long, less = exponential(d, 0.0)
    same(exponential(d, 1.01 * bound)[0], short)
    same(exponential(d, 0.99 * bound)[0], long)
    assert less < bound and (long - short).abs().max() > 1e-6


def test_the_exponential_to_fourth_order_knows_no_bound_where_nothing_may_be_read():
    assert math.isnan(exponential(skew_of_size((1, 6, 6), 0.1), None)[1])


@pytest.mark.parametrize("tolerance", [math.inf, 0.0, None])
def test_the_exponential_of_zero_is_the_identity_and_d_is_left_alone(tolerance):
    d = skew_of_size((1, 6, 6), 0.1)
    before = d.clone()
    exponential(d, tolerance)
    assert torch.equal(d, before)
    assert torch.equal(exponential(0 * d, tolerance)[0], 0 * d)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("retract", "shape"), ALL)
def test_a_retraction_keeps_the_type_and_leaves_its_arguments_alone(retract, shape, dtype):
    v, step = (t.to(dtype) for t in start(shape))
    before = v.clone(), step.clone()
    assert retract(v, step).dtype == dtype
    assert torch.equal(v, before[0]) and torch.equal(step, before[1])


@pytest.mark.parametrize("size", [1e-3, 0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("n", [24, 100])
def test_with_rough_products_the_exponential_still_bounds_the_gap_it_leaves(monkeypatch, n, size):
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(bfloat16, "WORTH", 0)
    d = skew_of_size((2, n, n), size).float()
    for tolerance in (1e-8, 4e-8, 1e-6, 1e-4):
        q, bound = exponential(d, tolerance)
        q = q.double() + torch.eye(n, dtype=torch.float64)
        exact, _ = exponential(d.double(), tolerance)
        assert orthogonality_gap(q).max() <= bound + 1e-7  # rounding
        assert (q - torch.eye(n) - exact).abs().max() <= 2 * n**0.5 * (bound + 1e-7)


def test_a_rough_square_is_taken_where_it_keeps_the_tolerance_and_only_there(monkeypatch):
    """What it is off is symmetric, so it is all of it a gap: at most LOST times ‖D²‖_F/√n."""
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(bfloat16, "WORTH", 0)
    d = skew_of_size((1, 64, 64), 0.02).float()
    off = bfloat16.LOST * torch.linalg.matrix_norm(d @ d).item() / 8
    square = bfloat16.rough_product(d, d)
    assert torch.equal(exponential(d, 1.3 * off)[0], d + square / 2)
    assert not torch.equal(exponential(d, 0.9 * off)[0], d + square / 2)
    assert torch.equal(
        exponential(d.double(), 1.3 * off)[0], d.double() + d.double() @ d.double() / 2
    )
