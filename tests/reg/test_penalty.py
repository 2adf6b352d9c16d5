import math
from itertools import product

import numpy as np
import pytest
import torch
from cases import SHAPES, matrices, randn, same, train_step
from torch import nn

from isogain.init import orthogonal_
from isogain.reg.base import Time
from isogain.reg.mutual_coherence import MutualCoherence
from isogain.reg.notebook import Notebook
from isogain.reg.penalty import DoubleSoft, Soft
from isogain.reg.srip import SRIP

STRENGTH, GAIN = 0.3, 0.9
TOWARDS_ORTHOGONAL = [Soft, DoubleSoft, MutualCoherence, SRIP]
ALL = [*TOWARDS_ORTHOGONAL, Notebook]
SETTLED = 30  # calls of two power iterations, which halve what is wrong with the vector or better


def attached(reg, w):
    """w as the kernel of a module that `reg` is attached to."""
    module = nn.Module()
    module.w = nn.Parameter(w.clone())
    reg.attach(module, "w")
    return module.w


def added(reg, w):
    """What `before_step` adds to a gradient that is zero."""
    w.grad = torch.zeros_like(w)
    with torch.no_grad():
        reg.before_step(w)
    return w.grad


def settled(reg, w):
    """w as a kernel of `reg` whose gradient there no longer depends on its past."""
    w = attached(reg, w)
    for _ in range(SETTLED if isinstance(reg, SRIP) else 0):
        added(reg, w)
    return w


def with_extreme_error(shape, extreme):
    """Kernels with one eigenvalue of E at `extreme`, and those below half its size."""
    m = min(shape[-2:])
    u, v = (orthogonal_(randn(*shape[:-2], n, m)) for n in shape[-2:])
    errors = extreme * (torch.rand(*shape[:-2], 1, m, dtype=torch.float64) - 0.5)
    errors[..., 0] = extreme
    return GAIN * (u * (1 + errors).sqrt()) @ v.mT


def with_unit_vectors(shape):
    """Kernels whose Gram matrix has the right diagonal, so that E is largest off it."""
    w = randn(*shape)
    return GAIN * w / torch.linalg.vector_norm(w, dim=-2 + (shape[-2] < shape[-1]), keepdim=True)


def numpy_errors(a):
    """Both WᵀW/g² − I and WWᵀ/g² − I, entry by entry, the smaller first."""
    grams = [
        np.array([[math.fsum(x * y) / GAIN**2 - (x is y) for y in vectors] for x in vectors])
        for vectors in (list(a.T), list(a))
    ]
    return sorted(grams, key=len)


def numpy_squares(a):
    """s²/g² − 1 of the singular values."""
    return np.linalg.svd(a, compute_uv=False) ** 2 / GAIN**2 - 1


NUMPY = [
    (Soft, lambda a: np.sum(numpy_squares(a) ** 2)),
    (Soft, lambda a: np.sum(numpy_errors(a)[0] ** 2)),
    (DoubleSoft, lambda a: sum(np.sum(error**2) for error in numpy_errors(a))),
    (MutualCoherence, lambda a: np.abs(numpy_errors(a)[0]).max()),
    (SRIP, lambda a: np.abs(numpy_squares(a)).max()),
    (SRIP, lambda a: np.abs(np.linalg.eigvals(numpy_errors(a)[0])).max()),
    (Notebook, lambda a: np.sum([(x @ y / GAIN**2 - 1) ** 2 for x, y in product(a, a)])),
]


def plain_errors(w):
    return [gram / GAIN**2 - torch.eye(len(gram)) for gram in (w.T @ w, w @ w.T)]


PLAIN = {  # of one matrix, for autograd to differentiate
    Soft: lambda w: min(plain_errors(w), key=len).pow(2).sum(),
    DoubleSoft: lambda w: sum(error.pow(2).sum() for error in plain_errors(w)),
    MutualCoherence: lambda w: min(plain_errors(w), key=len).abs().max(),
    SRIP: lambda w: torch.linalg.matrix_norm(min(plain_errors(w), key=len), 2),
    Notebook: lambda w: (w @ w.T / GAIN**2 - 1).pow(2).sum(),
}


def plain_gradient(cls, w):
    """By autograd, a matrix at a time."""
    found = []
    for matrix in matrices(w):
        matrix.requires_grad_()
        found += torch.autograd.grad(STRENGTH * PLAIN[cls](matrix), matrix)
    return torch.stack(found).reshape(w.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("cls", "formula"), NUMPY)
@pytest.mark.parametrize("size", [0.1, 1])  # E is most negative, or most positive
def test_the_value_is_the_strength_times_the_formula_summed_over_the_matrices(
    size, cls, formula, shape
):
    w = size * randn(*shape)
    expected = STRENGTH * sum(formula(matrix.numpy()) for matrix in matrices(w))
    value = cls(STRENGTH, GAIN, "sum").penalty(w)
    assert value.shape == ()
    same(value.item(), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", TOWARDS_ORTHOGONAL)
def test_an_orthogonal_kernel_pays_nothing_but_for_the_rank_it_cannot_have(cls, shape):
    w = orthogonal_(randn(*shape), gain=GAIN)
    lacking = abs(shape[-2] - shape[-1]) if cls is DoubleSoft else 0
    same(cls(STRENGTH, GAIN).penalty(w).item(), STRENGTH * lacking)


@pytest.mark.parametrize("cls", TOWARDS_ORTHOGONAL)
def test_a_wide_matrix_pays_as_its_transpose_and_gets_the_transposed_gradient(cls):
    w, reg = with_extreme_error((5, 8), 2), cls(STRENGTH, GAIN)
    same(reg.penalty(w), reg.penalty(w.mT))
    wide, tall = settled(reg, w), settled(reg, w.mT.contiguous())
    same(added(reg, wide), added(reg, tall).mT)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", [Soft, DoubleSoft, MutualCoherence, Notebook])
@pytest.mark.parametrize("draw", [lambda shape: randn(*shape), with_unit_vectors])
def test_the_added_gradient_is_that_of_the_plain_formula(cls, shape, draw):
    for _ in range(3):
        w = draw(shape).requires_grad_()
        same(added(cls(STRENGTH, GAIN, "sum"), w), plain_gradient(cls, w))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("extreme", [2, -0.95])
def test_at_a_fixed_kernel_the_gradient_of_srip_becomes_that_of_the_spectral_norm(extreme, shape):
    w, reg = with_extreme_error(shape, extreme), SRIP(STRENGTH, GAIN)
    same(added(reg, settled(reg, w)), plain_gradient(SRIP, w))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_srip_continues_its_power_iteration_from_step_to_step(iterations, shape):
    reg = SRIP(STRENGTH, GAIN, iterations=iterations)
    w = attached(reg, randn(*shape))
    starts = [v.clone() for v in reg.buffers()]
    for _ in range(3):
        added(reg, w)
    for matrix, v, found in zip(
        matrices(w), matrices(starts[0]), matrices(*reg.buffers()), strict=True
    ):
        v = np.linalg.matrix_power(numpy_errors(matrix.numpy())[0], 3 * iterations) @ v.numpy()
        same(found.abs(), torch.from_numpy(np.abs(v) / np.linalg.norm(v)))


@pytest.mark.parametrize("shape", SHAPES)
def test_srip_adds_the_gradient_of_what_the_error_does_along_its_vector(shape):
    """|vᵀEv| at the v it has got to, wherever that is."""
    reg = SRIP(STRENGTH, GAIN)
    w = attached(reg, randn(*shape))
    found, v = added(reg, w), next(reg.buffers())
    tall = w if shape[-2] >= shape[-1] else w.mT
    along = (tall @ v).square().sum((-2, -1)) / GAIN**2 - 1
    same(found, *torch.autograd.grad(STRENGTH * along.abs().sum(), w))


@pytest.mark.parametrize("shape", SHAPES)
def test_srip_starts_from_a_random_direction_a_matrix(shape):
    reg = SRIP()
    attached(reg, randn(*shape))
    (v,) = reg.state_dict().values()
    assert v.shape == (*shape[:-2], min(shape[-2:]), 1)
    assert v.dtype == torch.float64
    assert v.unique().numel() == v.numel()


@pytest.mark.parametrize("shape", SHAPES)
def test_srip_goes_on_from_its_state_dict_as_if_nothing_had_happened(shape):
    w, reg, resumed = randn(*shape), SRIP(STRENGTH, GAIN), SRIP(STRENGTH, GAIN)
    before, after = attached(reg, w), attached(resumed, w)
    added(reg, before)
    resumed.load_state_dict(reg.state_dict())
    assert torch.equal(added(reg, before), added(resumed, after))


def test_every_kernel_of_srip_has_vectors_of_its_own():
    kernels = [with_extreme_error(shape, 2) for shape in [*SHAPES, SHAPES[0]]]
    shared = SRIP(STRENGTH, GAIN)
    together = [attached(shared, w) for w in kernels]
    assert len(shared.state_dict()) == len(kernels)
    for _ in range(SETTLED):
        for w in together:
            added(shared, w)
    for w in together:
        same(added(shared, w), plain_gradient(SRIP, w))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "start", [orthogonal_, lambda w, gain: w.copy_(gain * torch.eye(*w.shape[-2:]))]
)
def test_srip_at_an_orthogonal_kernel_is_finite_and_no_longer_than_elsewhere(start, shape):
    w, reg = start(randn(*shape), gain=1.0), SRIP(STRENGTH)
    w = attached(reg, w)
    for _ in range(3):
        found = added(reg, w)
        assert (torch.linalg.matrix_norm(found) <= 2 * STRENGTH * (1 + 1e-9)).all()
    length = torch.linalg.vector_norm(next(reg.buffers()), dim=-2)
    same(length, torch.ones_like(length))


def test_a_matrix_of_srip_that_is_orthogonal_already_leaves_the_rest_of_its_stack_alone():
    reg, w = SRIP(STRENGTH), with_extreme_error((3, 6, 6), 2) / GAIN
    w[1] = torch.eye(6)
    found = added(reg, settled(reg, w))
    same(found[::2], added(reg, settled(reg, w[::2])))
    assert not found[1].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_both_gram_matrices_is_exactly_twice_that_of_the_smaller(shape):
    w = randn(*shape).requires_grad_()
    once, twice = (added(cls(STRENGTH, GAIN), w).clone() for cls in (Soft, DoubleSoft))
    assert torch.equal(twice, 2 * once)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", ALL)
def test_the_gradient_is_added_to_that_of_the_loss(cls, shape):
    reg, held = cls(STRENGTH, GAIN), randn(*shape)
    w = settled(reg, with_extreme_error(shape, 2))
    alone = added(reg, w).clone()
    w.grad = held.clone()
    with torch.no_grad():
        reg.before_step(w)
    same(w.grad, held + alone)
    assert alone.abs().max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", ALL)
def test_plain_descent_moves_the_kernel_by_the_rate_times_the_gradient_once(cls, shape):
    reg, rate = cls(STRENGTH, GAIN), 0.1
    w = settled(reg, with_extreme_error(shape, 2))
    before, gradient = w.detach().clone(), added(reg, w).clone()
    train_step(reg, torch.optim.SGD([w], lr=rate), w, lambda w: 0 * w.sum())
    same(w.detach(), before - rate * gradient)


@pytest.mark.parametrize("cls", ALL)
def test_without_a_gradient_of_the_loss_there_is_none_of_the_penalty(cls):
    reg = cls(STRENGTH, GAIN)
    w = attached(reg, randn(6, 6))
    with torch.no_grad():
        reg.before_step(w)
    assert w.grad is None


@pytest.mark.parametrize("cls", ALL)
def test_without_strength_there_is_no_value_and_no_gradient(cls):
    reg, held = cls(strength=0), randn(6, 6)
    w = attached(reg, randn(6, 6))
    w.grad = held.clone()
    with torch.no_grad():
        reg.before_step(w)
    assert torch.equal(w.grad, held)
    assert reg.penalty(w).item() == 0


@pytest.mark.parametrize("shape", SHAPES[3:])
@pytest.mark.parametrize("cls", ALL)
def test_every_matrix_of_a_stack_pays_and_is_pulled_as_if_alone(cls, shape):
    reg = cls(STRENGTH, GAIN)
    w = settled(reg, with_extreme_error(shape, 2))
    alone = [settled(reg, matrix) for matrix in matrices(w)]
    same(reg.penalty(w), sum(reg.penalty(matrix) for matrix in alone))
    same(added(reg, w).flatten(0, -3), torch.stack([added(reg, matrix) for matrix in alone]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", ALL)
def test_how_many_matrices_are_worked_on_at_a_time_does_not_matter(cls, shape, monkeypatch):
    reg = cls(STRENGTH, GAIN)
    w = settled(reg, with_extreme_error(shape, 2))
    at_once = added(reg, w).clone()
    monkeypatch.setattr("isogain.linalg.stacks.CACHED", 3 * shape[-2] * shape[-1])
    same(added(reg, w), at_once)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", ALL)
def test_memory_layout_does_not_matter(cls, shape):
    reg, w = cls(STRENGTH, GAIN), with_extreme_error(shape, 2)
    rows, columns = settled(reg, w.contiguous()), settled(reg, w.mT.contiguous().mT)
    assert not columns.is_contiguous()
    same(reg.penalty(columns), reg.penalty(rows))
    same(added(reg, columns), added(reg, rows))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", ALL)
def test_the_mean_is_the_sum_over_the_entries_of_the_gram_matrix(cls, shape):
    entries = shape[-2] ** 2 if cls is Notebook else min(shape[-2:]) ** 2
    kernel = with_extreme_error(shape, 2)
    mean, total = (cls(STRENGTH, GAIN, reduction) for reduction in ("mean", "sum"))
    same(entries * mean.penalty(kernel), total.penalty(kernel))
    gradient = added(mean, settled(mean, kernel))
    same(entries * gradient, added(total, settled(total, kernel)))


@pytest.mark.parametrize("cls", ALL)
def test_the_notebook_takes_the_mean_and_the_others_the_sum_unless_told(cls):
    w, usual = randn(6, 6), "mean" if cls is Notebook else "sum"
    assert cls(STRENGTH, GAIN).penalty(w) == cls(STRENGTH, GAIN, usual).penalty(w)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", ALL)
def test_a_kernel_g_times_as_large_pays_the_same_at_gain_g(cls, shape):
    kernel = with_extreme_error(shape, 2) / GAIN
    at_1, at_g = cls(STRENGTH), cls(STRENGTH, GAIN)
    same(at_g.penalty(GAIN * kernel), at_1.penalty(kernel))
    gradient = added(at_g, settled(at_g, GAIN * kernel))
    same(gradient, added(at_1, settled(at_1, kernel)) / GAIN)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("cls", ALL)
def test_a_penalty_every_k_steps_acts_at_each_kth_step_with_k_times_the_gradient(cls, every):
    kernel, often, rarely = with_extreme_error((8, 5), 2), cls(), cls(every=every)
    gradient = added(often, settled(often, kernel))
    w = settled(rarely, kernel)
    for step in range(12):
        rarely.time = Time(step=step)
        factor = every if step in range(0, 12, every) else 0
        same(added(rarely, w), factor * gradient)


@pytest.mark.parametrize("every", [2, 3, 4])
@pytest.mark.parametrize("cls", ALL)
def test_over_k_steps_a_penalty_every_k_steps_sums_to_one_at_every_step(cls, every):
    kernel, sums = with_extreme_error((8, 5), 2), []
    for reg in (cls(every=every), cls()):
        w = settled(reg, kernel)
        w.grad = torch.zeros_like(w)
        for step in range(3 * every, 4 * every):
            reg.time = Time(step=step)
            with torch.no_grad():
                reg.before_step(w)
        sums.append(w.grad)
    same(*sums)


@pytest.mark.parametrize("cls", ALL)
def test_the_value_does_not_depend_on_the_steps_at_which_the_penalty_acts(cls):
    w, rarely = randn(6, 6), cls(STRENGTH, GAIN, every=3)
    for step in range(3):
        rarely.time = Time(step=step)
        assert rarely.penalty(w) == cls(STRENGTH, GAIN).penalty(w)


LEFT = [  # of the strength after the fraction t
    ("constant", lambda t: 1.0),
    ("linear", lambda t: 1 - t),
    ("cosine", lambda t: math.cos(math.pi * t / 2) ** 2),
    ("step", lambda t: [1, 1e-3, 1e-4, 1e-6, 0][np.searchsorted([20, 50, 70, 120], 200 * t)]),
]
FRACTIONS = [0.0, 0.03, 0.13, 0.3, 0.4, 0.55, 0.7, 0.999]


@pytest.mark.parametrize("t", FRACTIONS)
@pytest.mark.parametrize(("schedule", "left"), LEFT)
def test_the_strength_follows_the_fraction_of_the_training_that_is_over(schedule, left, t):
    reg = Soft(STRENGTH, schedule=schedule)
    reg.time = Time(step=77, epoch=1234.5, fraction=t)
    assert reg.strength_now() == pytest.approx(STRENGTH * left(t), rel=1e-12)


@pytest.mark.parametrize("t", FRACTIONS)
@pytest.mark.parametrize(("schedule", "left"), LEFT)
def test_with_epochs_the_strength_follows_the_fraction_of_them_that_is_over(schedule, left, t):
    reg = Soft(STRENGTH, schedule=schedule, epochs=7.5)
    reg.time = Time(step=77, epoch=7.5 * t, fraction=0.9876)
    assert reg.strength_now() == pytest.approx(STRENGTH * left(t), rel=1e-12)


@pytest.mark.parametrize("t", [0.05, 0.2, 0.3, 0.5])
@pytest.mark.parametrize(("schedule", "left"), LEFT)
@pytest.mark.parametrize("cls", ALL)
def test_value_gradient_and_report_follow_the_schedule(cls, schedule, left, t):
    reg, kernel = cls(STRENGTH, GAIN, schedule=schedule), with_extreme_error((8, 5), 2)
    w = settled(reg, kernel)
    value, gradient = reg.penalty(w).item(), added(reg, w).clone()
    reg.time = Time(fraction=t)
    same(reg.penalty(w).item(), left(t) * value)
    same(added(reg, w), left(t) * gradient)
    assert reg.report() == {"reg/strength": pytest.approx(STRENGTH * left(t), rel=1e-12)}


@pytest.mark.parametrize("epoch", [2.5, 2.75, 100])
@pytest.mark.parametrize("schedule", [name for name, _ in LEFT])
@pytest.mark.parametrize("cls", ALL)
def test_after_its_epochs_a_penalty_is_over(cls, schedule, epoch):
    reg, held = cls(STRENGTH, GAIN, schedule=schedule, epochs=2.5), randn(6, 6)
    w = attached(reg, randn(6, 6))
    reg.time = Time(step=10, epoch=epoch, fraction=0.1)
    w.grad = held.clone()
    with torch.no_grad():
        reg.before_step(w)
    assert torch.equal(w.grad, held)
    assert reg.penalty(w).item() == 0
    assert reg.report() == {"reg/strength": 0}


@pytest.mark.parametrize("epochs", [None, 2.5])
@pytest.mark.parametrize("epoch", [0.0, 1.0, 2.999])
@pytest.mark.parametrize("cls", ALL)
def test_before_its_onset_a_penalty_does_nothing(cls, epoch, epochs):
    reg = cls(STRENGTH, GAIN, onset=3, epochs=epochs)
    w = attached(reg, randn(6, 6))
    reg.time = Time(step=10, epoch=epoch, fraction=epoch / 8)
    assert added(reg, w).count_nonzero() == 0
    assert reg.penalty(w).item() == 0 and reg.report() == {"reg/strength": 0}


@pytest.mark.parametrize("t", FRACTIONS)
@pytest.mark.parametrize(("schedule", "left"), LEFT)
@pytest.mark.parametrize(("epochs", "end"), [(None, 8.0), (2.5, 5.5)])
def test_the_schedule_runs_from_the_onset_to_the_end(epochs, end, schedule, left, t):
    reg = Soft(STRENGTH, schedule=schedule, onset=3, epochs=epochs)
    epoch = 3 + t * (end - 3)
    reg.time = Time(step=77, epoch=epoch, fraction=epoch / 8)
    assert reg.strength_now() == pytest.approx(STRENGTH * left(t), rel=1e-9)


def test_after_its_onset_in_a_training_without_an_end_the_strength_stays_what_it_is():
    reg = Soft(STRENGTH, schedule="linear", onset=3)
    reg.time = Time(step=77, epoch=50.0, fraction=0.0)
    assert reg.strength_now() == STRENGTH


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("strength", value) for value in (-1e-9, math.nan, math.inf)],
        *[("gain", value) for value in (0, -1.0, math.nan, math.inf)],
        *[("epochs", value) for value in (0, -1.0, math.nan, math.inf)],
        *[("onset", value) for value in (-1.0, math.nan, math.inf)],
        *[("every", value) for value in (0, -1, math.nan, math.inf)],
    ],
)
@pytest.mark.parametrize("cls", ALL)
def test_an_option_out_of_range_is_refused_by_name(cls, option, value):
    with pytest.raises(ValueError, match=f"^{option} must be .*, got {value}$"):
        cls(**{option: value})


@pytest.mark.parametrize("iterations", [0, -1])
def test_srip_without_an_iteration_is_refused_by_name(iterations):
    with pytest.raises(ValueError, match=f"^iterations must be .*, got {iterations}$"):
        SRIP(iterations=iterations)


def descend(reg, w, rates):
    """w after as many steps against the penalty alone as there are rates."""
    w = attached(reg, w)
    for rate in rates:
        gradient = added(reg, w)
        with torch.no_grad():
            w.sub_(gradient, alpha=rate)
    return w.detach()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("cls", "rate"), [(Soft, 0.1), (DoubleSoft, 0.05)])
def test_descent_on_a_smooth_penalty_ends_orthogonal_at_the_gain(cls, rate, shape):
    w = descend(cls(1.0, 1.5), 0.5 * randn(*shape), [rate] * 400)
    s = torch.linalg.svdvals(w)
    same(s, torch.full_like(s, 1.5))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", [MutualCoherence, SRIP])
def test_descent_on_a_maximum_with_a_falling_rate_comes_near_orthogonal_at_the_gain(cls, shape):
    w, reg = randn(*shape), cls(1.0, 1.5)
    end = descend(reg, w, np.linspace(0.1, 0, 800, endpoint=False))
    assert reg.penalty(end) < reg.penalty(w) / 100
    assert (torch.linalg.svdvals(end) / 1.5 - 1).abs().max() < 0.03


@pytest.mark.parametrize("n", [4, 6, 64])
def test_to_the_notebook_an_orthogonal_square_kernel_is_1_minus_1_over_n_from_its_minimum(n):
    w = orthogonal_(randn(n, n), gain=GAIN)
    same(Notebook(1.0, GAIN).penalty(w).item(), 1 - 1 / n)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_minimum_of_the_notebook_is_of_rank_one(shape):
    u = randn(*shape[:-2], 1, shape[-1])
    w = GAIN * (u / torch.linalg.vector_norm(u, dim=-1, keepdim=True)).expand(shape).clone()
    reg = Notebook(1.0, GAIN, "sum")
    assert (torch.linalg.matrix_rank(w) == 1).all()
    assert reg.penalty(w) < 1e-26
    assert added(reg, w.requires_grad_()).abs().max() < 1e-13


@pytest.mark.parametrize("n", [4, 6, 8])
def test_descent_on_the_notebook_takes_an_orthogonal_kernel_towards_rank_one(n):
    start = orthogonal_(randn(n, n), gain=GAIN)
    end = descend(Notebook(1.0, GAIN, "sum"), start, [0.01] * 2000)
    s = torch.linalg.svdvals(end)
    assert s[0].item() == pytest.approx(GAIN * math.sqrt(n), rel=1e-3)
    assert (s[1:] < 0.1 * GAIN).all()
