import copy

import geoopt
import numpy as np
import pytest
import torch
from cases import SHAPES, Kernel, matrices, randn, same, slow_but, train_step

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap, smaller_gram
from isogain.optim import MatrixAdam
from isogain.reg.landing import Landing

GAIN, STRENGTH, EPSILON = 1.2, 0.7, 0.5
BUILDERS = {
    "sgd": lambda w: torch.optim.SGD([w], lr=0.01),
    "momentum": lambda w: torch.optim.SGD([w], lr=0.01, momentum=0.9),
    "adam, elementwise": lambda w: MatrixAdam([w], lr=0.01),
    "adam, scalar": lambda w: MatrixAdam([{"params": [w], "per_matrix": True}], lr=0.01),
    "rmsprop": lambda w: torch.optim.RMSprop([w], lr=0.01, momentum=0.9),
}
BUILD = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
SHAPE = pytest.mark.parametrize("shape", SHAPES)


def on_manifold(*shape):
    return orthogonal_(randn(*shape), gain=GAIN)


def tall(w):
    return w if w.shape[-2] >= w.shape[-1] else w.mT


def field(w, grad):
    w = w.clone().requires_grad_()
    w.grad = grad.clone()
    with torch.no_grad():
        Landing(GAIN, STRENGTH).before_step(w)
    return w.grad


def parts(w, grad):
    """The relative gradient, linear in the gradient, and the attraction, which is free of it."""
    attraction = field(w, torch.zeros_like(grad))
    return field(w, grad) - attraction, attraction


def inner(a, b):
    return (a * b).sum((-2, -1))


def distance(w):
    """‖VᵀV − I‖_F, V = W/g, by the singular values."""
    return (torch.linalg.svdvals(w.detach() / GAIN).square() - 1).norm(dim=-1)


def in_tube(*shape):
    """A draw at a distance of about a quarter from the manifold."""
    w = on_manifold(*shape)
    noise = randn(*shape)
    w += 0.1 * noise / torch.linalg.matrix_norm(noise, keepdim=True)
    assert (distance(w) > 0).all() and (distance(w) < EPSILON).all()
    return w


def stepped(reg, start, end):
    """Where the regulariser lets a step from `start` end that an optimiser wanted to end at `end`."""
    w = start.clone()
    reg.before_step(w)
    w.copy_(end)
    reg.after_step(w, {})
    return w


@SHAPE
def test_the_field_is_the_formula_of_the_paper(shape):
    def formula(w, g):
        if w.shape[0] < w.shape[1]:
            return formula(w.T, g.T).T
        v = w / GAIN
        error = v.T @ v - np.eye(v.shape[1])
        return (g @ v.T @ v - v @ g.T @ v) / 2 + STRENGTH * w @ error

    w, grad = randn(*shape), randn(*shape)
    pairs = zip(matrices(w), matrices(grad), strict=True)
    expected = np.stack([formula(x.numpy(), g.numpy()) for x, g in pairs])
    same(field(w, grad), torch.from_numpy(expected).reshape(shape))


@SHAPE
def test_the_attraction_is_the_gradient_of_a_quarter_of_the_squared_distance(shape):
    w = randn(*shape).requires_grad_()
    eye = torch.eye(min(shape[-2:]))
    ((smaller_gram(w / GAIN) - eye).square().sum() / 4).backward()
    _, attraction = parts(w.detach(), torch.zeros_like(w.detach()))
    same(attraction, STRENGTH * GAIN**2 * w.grad)


@SHAPE
def test_the_two_parts_are_orthogonal_to_each_other(shape):
    relative, attraction = parts(randn(*shape), randn(*shape))
    lengths = relative.norm() * attraction.norm()
    assert lengths > 1
    assert inner(relative, attraction).abs().max() < 1e-13 * lengths


@SHAPE
def test_the_relative_gradient_keeps_the_gram_matrix_to_first_order(shape):
    w = randn(*shape)
    relative, _ = parts(w, randn(*shape))
    change = torch.autograd.functional.jvp(smaller_gram, w, relative)[1]
    assert relative.norm() > 1
    assert change.norm() < 1e-13 * w.norm() * relative.norm()


@SHAPE
def test_on_the_manifold_the_field_is_half_the_canonical_gradient_of_geoopt(shape):
    w, grad = on_manifold(*shape), randn(*shape)
    expected = geoopt.CanonicalStiefel().egrad2rgrad(tall(w) / GAIN, tall(grad)) / 2
    same(tall(field(w, grad)), expected)


@SHAPE
def test_on_the_manifold_every_one_of_200_gradients_is_descended(shape):
    """By ‖skew(GVᵀ)‖² to first order."""
    w, grad = on_manifold(200, *shape), randn(200, *shape)
    slope = inner(field(w, grad), grad)
    product = tall(grad) @ tall(w).mT / GAIN
    same(slope, ((product - product.mT) / 2).square().sum((-2, -1)))
    assert (slope > 0).all()


@pytest.mark.parametrize("shape", slow_but(zip(SHAPES), 1, 3))
@BUILD
def test_hundreds_of_steps_at_any_rate_never_leave_the_tube(build, shape):
    w, reg = on_manifold(*shape).requires_grad_(), Landing(GAIN, STRENGTH, EPSILON)
    optimizer, start = build(w), w.detach().clone()
    for log_rate in torch.empty(200).uniform_(-3, 6).tolist():
        optimizer.param_groups[0]["lr"] = 10**log_rate
        train_step(reg, optimizer, w, lambda w: (w * randn(*shape)).sum())
        assert (distance(w) <= EPSILON + 1e-12).all()
    assert reg.report()["reg/shortened"] > 20
    assert (w.detach() - start).norm() > 0.1


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.9])
def test_a_column_that_would_shrink_stops_exactly_at_the_edge_of_the_tube(epsilon):
    """The bound is attained there."""
    start = on_manifold(6, 1)
    w = stepped(Landing(GAIN, epsilon=epsilon), start, 0.1 * start)
    same(distance(w), torch.tensor(epsilon, dtype=torch.float64))


@pytest.mark.parametrize(
    ("dtype", "length"),
    [(torch.float32, length) for length in (1e3, 1e12, 1e18, 1e25, 1e36)]
    + [(torch.float64, length) for length in (1e3, 1e12, 1e100, 1e160, 1e300)],
)
def test_no_step_is_too_long_for_the_tube(dtype, length):
    """The squares of the longest two are infinite."""
    start = on_manifold(4, 6, 6).to(dtype)
    w = stepped(Landing(GAIN, epsilon=EPSILON), start, start + length * randn(4, 6, 6).to(dtype))
    assert (distance(w) <= EPSILON + 10 * torch.finfo(dtype).eps).all()


@SHAPE
@BUILD
def test_inside_the_tube_a_step_is_the_optimisers_bit_for_bit(build, shape):
    w, reg = on_manifold(*shape).requires_grad_(), Landing(GAIN, STRENGTH, EPSILON)
    alone = w.detach().clone().requires_grad_()
    ours, theirs = build(w), build(alone)
    for optimizer in (ours, theirs):
        optimizer.param_groups[0]["lr"] = 1e-4
    for _ in range(10):
        train_step(reg, ours, w, lambda w: (w * randn(*shape)).sum())
        alone.grad = w.grad.clone()
        theirs.step()
        assert torch.equal(w, alone)
    assert reg.report() == {"reg/shortened": 0}
    assert distance(w).max() > 1e-8


@SHAPE
def test_a_shortened_step_ends_on_the_segment_where_the_bound_meets_the_edge_of_the_tube(shape):
    start = in_tube(*shape)
    end = start + 3 * randn(*shape)
    w = stepped(Landing(GAIN, epsilon=EPSILON), start, end)
    before, after = distance(start).numpy(), distance(end).numpy()
    curve = (torch.linalg.matrix_norm(end - start) / GAIN).square().numpy()
    t = np.empty(before.shape)
    for i in np.ndindex(before.shape):
        roots = np.roots([-curve[i], after[i] - before[i] + curve[i], before[i] - EPSILON])
        t[i] = roots.real.min()
    assert (t > 0).all() and (t < 1).all()
    same(w, start + torch.from_numpy(t)[..., None, None] * (end - start))


def test_one_matrix_of_a_stack_is_shortened_alone():
    start, reg = on_manifold(2, 4, 5, 5), Landing(GAIN, epsilon=EPSILON)
    end = start + 1e-3 * randn(2, 4, 5, 5)
    end[1, 2] += 5
    w = stepped(reg, start, end)
    untouched = (w == end).all(-1).all(-1)
    assert (~untouched).nonzero().tolist() == [[1, 2]]
    assert reg.report() == {"reg/shortened": 1}
    assert distance(w).max() <= EPSILON + 1e-12


def test_the_report_counts_shortened_matrices_over_steps_and_kernels():
    reg, long = Landing(GAIN), torch.tensor([1.0, 0.0, 1.0, 0.0])[:, None, None]
    for shape, times in [((6, 6), 2), ((8, 5), 1)]:
        for _ in range(times):
            start = on_manifold(4, *shape)
            stepped(reg, start, start + long * (1 + randn(4, *shape).abs()))
    assert reg.report() == {"reg/shortened": 6}
    resumed = Landing(GAIN)
    resumed.load_state_dict(copy.deepcopy(reg.state_dict()))
    assert resumed.report() == {"reg/shortened": 6}


def test_two_kernels_are_shortened_each_from_its_own_start():
    starts, reg = [on_manifold(6, 6) for _ in range(2)], Landing(GAIN)
    kernels = [start.clone() for start in starts]
    ends = [start + 3 * randn(6, 6) for start in starts]
    for moment in (
        lambda w, end: reg.before_step(w),
        lambda w, end: w.copy_(end),
        lambda w, end: reg.after_step(w, {}),
    ):
        for w, end in zip(kernels, ends, strict=True):
            moment(w, end)
    for w, start, end in zip(kernels, starts, ends, strict=True):
        same(w, stepped(Landing(GAIN), start, end))


@SHAPE
def test_descent_at_a_decaying_rate_ends_at_the_polar_factor_of_the_target(shape):
    """Minimising ‖W − T‖² on the manifold is the Procrustes problem, solved by g·polar(T)."""
    nearest, m = on_manifold(*shape), min(shape[-2:])
    a = randn(*shape[:-2], m, m)
    positive = torch.eye(m) + a @ a.mT / m
    turn = torch.matrix_exp(0.2 * (a - a.mT))  # keeps the sign of the determinant
    target = (tall(nearest) @ positive).mT if shape[-2] < shape[-1] else nearest @ positive
    w = (tall(nearest) @ turn).mT if shape[-2] < shape[-1] else nearest @ turn
    w, reg, gaps = w.contiguous().requires_grad_(), Landing(GAIN), []
    optimizer = torch.optim.SGD([w], lr=0.1)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=400)
    for _ in range(400):
        train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        decay.step()
        gaps.append(orthogonality_gap(w.detach(), GAIN).max().item())
    assert max(gaps) > 1e-3 and gaps[-1] < 1e-8
    torch.testing.assert_close(w.detach(), nearest, rtol=0, atol=1e-6)


@SHAPE
def test_attaching_brings_a_kernel_to_the_nearest_point_of_the_manifold(shape):
    drawn = randn(*shape)
    kernel = Kernel(drawn)
    Landing(GAIN).attach(kernel, "w")
    u, _, vh = np.linalg.svd(drawn.numpy(), full_matrices=False)
    same(kernel.w.detach(), torch.from_numpy(GAIN * u @ vh))


def test_without_a_gradient_a_step_does_nothing():
    w = in_tube(4, 6, 6).requires_grad_()
    before, reg = w.detach().clone(), Landing(GAIN)
    with torch.no_grad():
        reg.before_step(w)
        reg.after_step(w, {})
    assert w.grad is None and torch.equal(w, before)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (option, value)
        for option in ("gain", "strength", "epsilon")
        for value in (0, -0.1, float("nan"), float("inf"))
    ]
    + [("epsilon", 1), ("epsilon", 1.5)],
)
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(ValueError, match=rf"^{option} must be .*, got {value}$"):
        Landing(**{option: value})
