"""What every conf/reg/*.yaml, and docs/extending.md's example, owes to every shape of kernel and every optimiser."""

import math
from functools import partial

import pytest
import torch
from cases import (
    OPTIMIZERS,
    SGD,
    SHAPES,
    Kernel,
    extending_regularizer,
    part,
    randn,
    regularizers,
    same,
    train_step,
)

from isogain import optim
from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap
from isogain.optim import kernel_parameters
from isogain.reg.base import Regularizer

GAIN = 1.2
SLOPED = {"mc", "srip"}  # largest absolute values, whose slope does not vanish at their minimum
STACKS = [(4, 6, 6), (2, 4, 5, 5), (3, 8, 5), (3, 5, 8)]
OPTIMS = [
    pytest.param(optim.SGD(lr=0.05, momentum=0.9), id="sgd"),
    pytest.param(optim.Adam(lr=0.01), id="adam"),
    pytest.param(optim.RMSprop(lr=0.001, momentum=0.9), id="rmsprop"),  # its first step is tenfold
]


BUILDERS = {
    **regularizers(GAIN),
    "manifold-learned": part("reg", "manifold", "learned", _partial_=True),
    "oblique-learned": part("reg", "oblique", "learned", _partial_=True),
    "extending": partial(extending_regularizer(), gain=GAIN),
}
every_reg = pytest.mark.parametrize("name", BUILDERS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def rank_one(*shape):
    """g·1uᵀ with ‖u‖ = 1, where (WWᵀ/g² − 1)² is 0."""
    u = randn(*shape[:-2], 1, shape[-1])
    return GAIN * u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).expand(shape)


def rows_of_one_norm(*shape):
    w = randn(*shape)
    return GAIN * w / torch.linalg.vector_norm(w, dim=-1, keepdim=True)


def orthogonal(*shape):
    return orthogonal_(randn(*shape), gain=GAIN)


OTHER_TARGETS = {
    "notebook": rank_one,  # has the scalar 1 where orthogonality has I
    "oblique": rows_of_one_norm,
    "oblique-learned": rows_of_one_norm,
}


def at_target(name, shape):
    return OTHER_TARGETS.get(name, orthogonal)(*shape)


def attached(name, w):
    """A regulariser, the kernel w that it was attached to, and what an optimiser moves."""
    reg, kernel = BUILDERS[name](), Kernel(w)
    reg.attach(kernel, "w")
    return reg, kernel, list(kernel_parameters(kernel))


def close(actual, expected):
    torch.testing.assert_close(actual.detach(), expected, rtol=0, atol=1e-12)


@every_shape
@every_reg
def test_a_kernel_at_its_target_is_attached_where_it_is(name, shape):
    target = at_target(name, shape)
    close(attached(name, target)[1].w, target)


@every_shape
@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in SLOPED])
def test_a_kernel_at_its_target_stays_there_when_the_loss_is_flat(name, shape):
    reg, kernel, leaves = attached(name, at_target(name, shape))
    start, optimizer = kernel.w.detach().clone(), torch.optim.SGD(leaves, lr=1.0)
    train_step(reg, optimizer, kernel.w, lambda w: 0 * w.sum(), leaves)
    close(kernel.w, start)


@every_shape
@pytest.mark.parametrize("name", sorted(SLOPED))
def test_a_penalty_that_is_not_smooth_at_its_minimum_leaves_it_by_its_slope_at_most(name, shape):
    """A largest entry or eigenvalue of WᵀW/g² has a (sub)gradient of norm 2/g at most where W is g times orthogonal."""
    reg, kernel, leaves = attached(name, at_target(name, shape))
    start, optimizer = kernel.w.detach().clone(), torch.optim.SGD(leaves, lr=1.0)
    train_step(reg, optimizer, kernel.w, lambda w: 0 * w.sum(), leaves)
    moved = torch.linalg.matrix_norm(kernel.w.detach() - start)
    assert (moved <= 2 * reg.strength / GAIN * (1 + 1e-12)).all()


@every_shape
@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in OTHER_TARGETS])
def test_the_gain_that_is_told_is_that_of_the_target(name, shape):
    target = at_target(name, shape)
    reg, kernel, _ = attached(name, target)
    gain = reg.gain_of(kernel.w)
    assert gain is None or orthogonality_gap(target, gain).max() < 1e-13


@every_shape
@every_reg
def test_before_step_edits_the_gradient_alone(name, shape):
    reg, kernel, leaves = attached(name, at_target(name, shape))
    start = [leaf.detach().clone() for leaf in leaves]
    (randn(*shape) * kernel.w).sum().backward()
    with torch.no_grad():
        for leaf in leaves:
            reg.before_step(leaf)
    torch.testing.assert_close([leaf.detach() for leaf in leaves], start, rtol=0, atol=0)
    assert all(leaf.grad.shape == leaf.shape and leaf.grad.isfinite().all() for leaf in leaves)


@every_shape
@every_reg
def test_a_kernel_without_a_gradient_gets_none_and_stays(name, shape):
    reg, kernel, leaves = attached(name, at_target(name, shape))
    start = kernel.w.detach().clone()
    reg.bind(torch.optim.SGD(leaves, lr=0.1))
    with torch.no_grad():
        for leaf in leaves:
            reg.before_step(leaf)
            reg.after_step(leaf, {"momentum_buffer": None, "step": torch.tensor(1.0)})
    assert all(leaf.grad is None for leaf in leaves)
    close(kernel.w, start)


@every_shape
@every_reg
def test_after_step_needs_no_step_before_it(name, shape):
    reg, kernel, leaves = attached(name, at_target(name, shape))
    start = kernel.w.detach().clone()
    with torch.no_grad():
        for leaf in leaves:
            reg.after_step(leaf, {})
    close(kernel.w, start)


@every_shape
@pytest.mark.parametrize("build", OPTIMS)
@every_reg
def test_two_steps_of_any_optimiser_bring_the_kernel_nearer_to_what_the_loss_wants(
    name, build, shape
):
    wanted = orthogonal(*shape)
    reg, kernel, leaves = attached(name, wanted + 0.3 * randn(*shape))
    optimizer = build(kernel, reg)

    def loss(w):
        return (w - wanted).square().sum()

    before = loss(kernel.w).item()
    for _ in range(2):
        train_step(reg, optimizer, kernel.w, loss, leaves)
    assert loss(kernel.w).item() < before
    kept = [v for state in optimizer.state.values() for v in state.values()]
    assert all(v.isfinite().all() for v in kept if isinstance(v, torch.Tensor))


def give_matrix(whole, one, i):
    """What a regulariser draws for the kernel of a stack, to one that is attached to its matrix number i alone."""
    for theirs, ours in zip(whole.buffers(), one.buffers(), strict=True):
        if ours.ndim:
            ours.copy_(theirs.reshape(-1, *ours.shape)[i])


def moved(reg, kernel, leaves, direction):
    """The kernel after two steps of gradient descent along `direction`."""
    optimizer = torch.optim.SGD(
        [{"params": leaves}, {"params": reg.scales(), "lr": 0.01}], lr=0.3, momentum=0.9
    )
    for _ in range(2):
        train_step(reg, optimizer, kernel.w, lambda w: (direction * w).sum(), leaves)
    return kernel.w.detach()


@pytest.mark.parametrize("shape", STACKS)
@every_reg
def test_matrices_of_a_stack_do_not_see_each_other(name, shape):
    w, direction = at_target(name, shape) + 0.1 * randn(*shape), randn(*shape)
    stack = attached(name, w)
    alone = [attached(name, matrix) for matrix in w.view(-1, *shape[-2:])]
    for i, one in enumerate(alone):
        give_matrix(stack[0], one[0], i)
    singles = [
        moved(*one, d) for one, d in zip(alone, direction.view(-1, *shape[-2:]), strict=True)
    ]
    same(moved(*stack, direction), torch.stack(singles).view(shape))


@every_reg
def test_a_report_is_of_finite_numbers_by_name(name):
    reg, kernel, leaves = attached(name, orthogonal(4, 6, 6))
    moved(reg, kernel, leaves, randn(4, 6, 6))
    told = reg.report()
    assert all(isinstance(key, str) and math.isfinite(value) for key, value in told.items())


@every_reg
def test_a_regulariser_tells_the_options_that_it_was_built_with(name):
    assert BUILDERS[name].keywords.items() <= BUILDERS[name]().options().items()


@pytest.mark.parametrize("build", OPTIMIZERS)
def test_none_leaves_the_optimiser_to_itself(build):
    regularised, alone = (torch.full((4, 3), 0.5, requires_grad=True) for _ in range(2))
    ours, theirs, target = build([regularised]), build([alone]), torch.randn(4, 3)
    for _ in range(3):
        train_step(Regularizer(), ours, regularised, lambda w: (w - target).square().sum())
        theirs.zero_grad()
        (alone - target).square().sum().backward()
        theirs.step()
    assert torch.equal(regularised, alone)


@pytest.mark.parametrize("name", [n for n, build in BUILDERS.items() if hasattr(build(), "gain")])
@pytest.mark.parametrize("gain", [0, -1.0, float("nan"), float("inf")])
def test_a_gain_out_of_range_is_refused_by_name(name, gain):
    with pytest.raises(ValueError, match="gain must be .*, got"):
        type(BUILDERS[name]())(gain=gain)


def test_the_regulariser_without_options_takes_any_kernel_and_adds_nothing():
    w = randn(3, 2).requires_grad_()
    train_step(Regularizer(), SGD([w]), w, lambda w: w.sum())
    assert Regularizer().penalty(w).item() == 0


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (3, 5, 8)])
@pytest.mark.parametrize("name", [n for n in BUILDERS if not BUILDERS[n]().reparametrizes])
def test_the_state_is_edited_only_where_the_regulariser_may(name, shape):
    reg, kernel, _ = attached(name, at_target(name, shape))
    reg.bind(torch.optim.SGD([kernel.w], lr=0.1))
    kernel.w.grad, momentum = randn(*shape), randn(*shape)
    start = momentum.clone()
    with torch.no_grad():
        reg.before_step(kernel.w)
        reg.after_step(kernel.w, {"momentum_buffer": momentum})
    assert reg.edits_state(kernel.w) or torch.equal(momentum, start)
