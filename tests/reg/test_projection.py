import geoopt
import numpy as np
import pytest
import scipy.stats
import torch
from cases import OPTIMIZERS, SHAPES, matrices, randn, same, slow_but, train_step
from torch import nn

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap
from isogain.reg.base import Time
from isogain.reg.projection import Projection

GAIN = 1.2
METHODS = ["newton_schulz", "svd", "qr"]


def projected(w, gain=GAIN, **options):
    w = w.clone()
    Projection(gain, **options).after_step(w, {})
    return w


def kernel(w):
    module = nn.Module()
    module.w = nn.Parameter(w.clone())
    return module


def with_singular_values(s, *shape):
    """A random matrix, or a stack of them, with the singular values s."""
    u, _, vh = torch.linalg.svd(randn(*shape), full_matrices=False)
    return (u * s) @ vh


def noisy_steps(reg, dtype, steps):
    """The gap after `steps` of Adam towards targets that are noise; n = 64."""
    w = orthogonal_(torch.empty(64, 64, dtype=dtype), gain=GAIN).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=3e-3, fused=True)
    for step in range(steps):
        reg.time = Time(step)
        w.grad = torch.randn_like(w)
        optimizer.step()
        with torch.no_grad():
            reg.after_step(w, optimizer.state[w])
    return orthogonality_gap(w.detach().double(), GAIN)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_projection_is_that_of_geoopt(shape):
    w = randn(*shape)
    tall = w if shape[-2] >= shape[-1] else w.mT  # geoopt knows no wide matrices
    expected = GAIN * geoopt.EuclideanStiefel().projx(tall)
    same(projected(w), expected if tall is w else expected.mT)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_projection_sets_every_singular_value_to_the_gain_and_keeps_the_vectors(shape):
    w = randn(*shape)
    u, s, vh = np.linalg.svd(w.numpy(), full_matrices=False)
    same(projected(w), torch.from_numpy(u @ (GAIN * np.ones_like(s)[..., None] * vh)))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_random_orthogonal_matrix_is_nearer(shape):
    w, n = randn(*shape), max(shape[-2:])
    others = torch.from_numpy(scipy.stats.ortho_group.rvs(n, size=1000, random_state=0))
    others = GAIN * others[:, : shape[-2], : shape[-1]]
    for matrix, nearest in zip(matrices(w), matrices(projected(w)), strict=True):
        distance = torch.linalg.matrix_norm(matrix - nearest)
        assert (torch.linalg.matrix_norm(matrix - others) > distance).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_orthogonal_matrix_close_by_is_nearer(shape):
    w = randn(*shape)
    nearest = projected(w)
    for _ in range(20):
        other = projected(nearest + 1e-3 * randn(*shape))
        gain_in_distance = (w - other).square().sum((-2, -1)) - (w - nearest).square().sum((-2, -1))
        assert (gain_in_distance > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_projecting_twice_is_projecting_once(shape):
    once = projected(randn(*shape))
    same(projected(once), once)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("build", OPTIMIZERS)
def test_every_step_ends_on_the_manifold(build, shape):
    w, target, reg = randn(*shape).requires_grad_(), randn(*shape), Projection(GAIN)
    optimizer = build([w])
    for _ in range(10):
        train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        s = torch.linalg.svdvals(w.detach())
        assert (s - GAIN).abs().max() < 1e-13


def test_the_optimiser_state_is_left_alone():
    w, momentum = randn(4, 4), randn(4, 4)
    state = {"momentum_buffer": momentum.clone()}
    Projection(GAIN).after_step(w, state)
    assert torch.equal(state["momentum_buffer"], momentum)


# method


@pytest.mark.parametrize("distance", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_and_the_svd_find_the_same_matrix(shape, distance):
    w = GAIN * orthogonal_(randn(*shape)) + distance * randn(*shape)
    same(projected(w, method="newton_schulz"), projected(w, method="svd"))


@pytest.mark.parametrize("shape", SHAPES)
def test_qr_is_gain_times_q_with_a_positive_diagonal_of_r(shape):
    w = randn(*shape)
    for matrix, found in zip(matrices(w), matrices(projected(w, method="qr")), strict=True):
        wide = shape[-2] < shape[-1]
        q, r = np.linalg.qr((matrix.mT if wide else matrix).numpy())
        q = torch.from_numpy(GAIN * q * np.sign(np.diag(r)))
        same(found, q.mT if wide else q)


@pytest.mark.parametrize("shape", SHAPES)
def test_qr_is_orthogonal_but_not_the_nearest(shape):
    w = randn(*shape)
    by_qr, nearest = projected(w, method="qr"), projected(w)
    assert orthogonality_gap(by_qr, GAIN).max() < 1e-14
    norm = torch.linalg.matrix_norm
    assert (norm(w - by_qr) > norm(w - nearest) + 1e-3).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_matrix_without_full_rank_ends_orthogonal_as_well(shape, method):
    w = randn(*shape)
    w[..., 1, :] = w[..., :, 1] = 0
    for matrix in (w, 0 * w):
        assert orthogonality_gap(projected(matrix, method=method), GAIN).max() < 1e-14


@pytest.mark.parametrize("margin", [0.0, 0.1])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_entries_that_are_not_finite_are_refused(bad, method, margin):
    w = randn(3, 5, 5)
    w[1, 2, 3] = bad
    with pytest.raises(torch.linalg.LinAlgError):
        projected(w, method=method, margin=0 if method == "qr" else margin)


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_keeps_the_constraint_to_rounding_over_noisy_steps(method):
    assert noisy_steps(Projection(GAIN, method=method), torch.float32, 300) < 2e-6


@pytest.mark.parametrize("method", slow_but(METHODS, 0))
def test_double_precision_keeps_the_constraint_to_rounding_over_noisy_steps(method):
    assert noisy_steps(Projection(GAIN, method=method), torch.float64, 300) < 1e-12


@pytest.mark.slow
def test_rounding_does_not_add_up_over_ten_thousand_steps():
    reg = Projection(GAIN)
    assert noisy_steps(reg, torch.float32, 10_000) < 2e-6
    assert reg.report() == {"reg/svd_fallbacks": 0}


@pytest.mark.parametrize("tolerance", [1e-12, 1e-8, 1e-4])
def test_newton_schulz_may_leave_the_tolerance_and_no_more(tolerance):
    w = GAIN * (orthogonal_(randn(32, 32)) + 0.02 * randn(32, 32))
    exact = orthogonality_gap(projected(w, method="svd"), GAIN)
    left = orthogonality_gap(projected(w, tolerance=tolerance), GAIN)
    assert exact < 1e-14
    assert left <= tolerance
    assert orthogonality_gap(projected(w, tolerance=0.5), GAIN) > 1e-4


# margin


@pytest.mark.parametrize("gain, margin", [(1.2, 0.1), (0.5, 0.5), (1.0, 1e-3)])
@pytest.mark.parametrize("method", ["newton_schulz", "svd"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_margin_clips_the_singular_values_and_keeps_the_vectors(shape, method, gain, margin):
    w = with_singular_values(torch.linspace(2.0, 0.1, min(shape[-2:])).double(), *shape)
    u, s, vh = np.linalg.svd(w.numpy(), full_matrices=False)
    s = np.clip(s, gain * (1 - margin), gain * (1 + margin))
    found = projected(w, gain, method=method, margin=margin)
    same(found, torch.from_numpy(u @ (s[..., None] * vh)))


@pytest.mark.parametrize("shape", SHAPES)
def test_within_the_margin_nothing_moves(shape):
    m = min(shape[-2:])
    w = with_singular_values(torch.linspace(1.09, 0.91, m).double() * GAIN, *shape)
    same(projected(w, margin=0.1), w)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_matrix_within_the_margin_is_nearer(shape):
    w = randn(*shape)
    nearest, norm = projected(w, margin=0.3), torch.linalg.matrix_norm
    for distance in (1e-3, 0.1, 3.0):
        for _ in range(20):
            other = projected(nearest + distance * randn(*shape), margin=0.3)
            assert (norm(w - other) > norm(w - nearest)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_random_matrix_within_the_margin_is_nearer(shape):
    w, norm = randn(*shape), torch.linalg.matrix_norm
    nearest = projected(w, margin=0.3)
    for _ in range(200):
        s = GAIN * (0.7 + 0.6 * torch.rand(*shape[:-2], 1, min(shape[-2:]), dtype=w.dtype))
        assert (norm(w - with_singular_values(s, *shape)) > norm(w - nearest)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_vanishing_margin_is_none(shape):
    w = randn(*shape)
    same(projected(w, margin=1e-15), projected(w))


# when


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("every", [1, 2, 5])
def test_it_acts_after_every_so_many_steps(every, method):
    reg, acted = Projection(GAIN, every=every, method=method), []
    for step in range(12):
        w = randn(5, 5)
        before, reg.time = w.clone(), Time(step)
        reg.after_step(w, {})
        acted.append(not torch.equal(w, before))
        assert not acted[-1] or orthogonality_gap(w, GAIN) < 1e-14
    assert acted == [(step + 1) % every == 0 for step in range(12)]


@pytest.mark.parametrize("options", [{"method": name} for name in METHODS] + [{"margin": 0.2}])
@pytest.mark.parametrize("shape", SHAPES)
def test_attached_the_kernel_is_projected_at_once_whenever_the_steps_are(shape, options):
    w = randn(*shape)
    module = kernel(w)
    parameter = module.w
    Projection(GAIN, every=7, **options).attach(module, "w")
    assert module.w is parameter
    assert parameter.requires_grad and parameter.grad_fn is None
    same(parameter.detach(), projected(w, **options))


def test_at_the_start_the_tolerance_does_not_count():
    module = kernel(GAIN * (orthogonal_(randn(12, 12)) + 0.01 * randn(12, 12)))
    Projection(GAIN, tolerance=0.5).attach(module, "w")
    assert orthogonality_gap(module.w.detach(), GAIN) < 1.5e-14


# what it tells


def test_the_report_counts_the_fallbacks_of_training_alone():
    reg, module = Projection(GAIN), kernel(randn(2, 9, 9))
    reg.attach(module, "w")
    assert reg.report() == {"reg/svd_fallbacks": 0}
    with torch.no_grad():
        reg.after_step(module.w, {})
        assert reg.report() == {"reg/svd_fallbacks": 0}
        reg.after_step(module.w.mul_(2), {})
        assert reg.report() == {"reg/svd_fallbacks": 2}
        reg.after_step(module.w[0].mul_(0.1), {})
    assert reg.report() == {"reg/svd_fallbacks": 3}


def test_the_count_survives_a_checkpoint():
    reg, resumed = Projection(GAIN), Projection(GAIN)
    reg.after_step(5 * randn(3, 6, 6), {})
    resumed.load_state_dict(reg.state_dict())
    assert resumed.report() == reg.report() == {"reg/svd_fallbacks": 3}


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_the_gap_is_measured_at_the_gain(margin):
    assert Projection(GAIN, margin=margin).gain_of(randn(3, 3)) == GAIN


# options


@pytest.mark.parametrize(
    "options",
    [
        {"margin": -0.1},
        {"margin": 1.0},
        {"margin": float("nan")},
        {"every": 0},
        {"every": -3},
        {"every": float("inf")},
        {"tolerance": 0.0},
        {"tolerance": -1e-6},
        {"tolerance": float("nan")},
    ],
)
def test_an_option_out_of_range_is_refused_by_name(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} must be .*, got "):
        Projection(GAIN, **options)


def test_a_margin_is_refused_with_qr():
    with pytest.raises(ValueError, match="^method must be .* with a margin, got qr"):
        Projection(GAIN, margin=0.1, method="qr")
    Projection(GAIN, margin=0.0, method="qr")
