"""What every conf/reg/*.yaml owes to every shape of kernel and every optimiser."""

import pytest
import torch
from cases import OPTIMIZERS, SGD, SHAPES, parts, randn, regularizers, same, train_step
from torch import nn

from isogain.init import orthogonal_
from isogain.reg.base import Regularizer

GAIN = 1.2


def at_target(shape):
    return orthogonal_(randn(*shape), gain=GAIN).requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reg", regularizers(GAIN))
def test_a_weight_at_its_target_stays_there(reg, shape):
    w = at_target(shape)
    w.grad = torch.zeros_like(w)
    target = w.detach().clone()
    assert reg.penalty(w) < 1e-20
    with torch.no_grad():
        reg.before_step(w)
        reg.after_step(w, {})
    same(w.detach(), target)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reg", regularizers(GAIN))
def test_the_gradient_of_the_penalty_vanishes_at_the_target(reg, shape):
    w = at_target(shape)
    (reg.penalty(w) + 0 * w.sum()).backward()
    assert w.grad.abs().max() < 1e-13


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reg", regularizers(GAIN))
def test_a_penalty_is_a_scalar_and_zero_nowhere_but_at_the_target_or_everywhere(reg, shape):
    target = at_target(shape).detach()
    nudged = target.clone()
    nudged[..., 0, 0] += 0.1
    away = torch.stack([reg.penalty(w) for w in (0.9 * target, 1.1 * target, nudged, 0 * target)])
    assert away.shape == (4,)
    assert (away > 1e-6).all() or (away == 0).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reg", regularizers(GAIN))
def test_before_step_edits_the_gradient_alone_and_after_step_needs_none(reg, shape):
    w = at_target(shape)
    target = w.detach().clone()
    with torch.no_grad():
        reg.before_step(w)
        assert w.grad is None
        w.grad = randn(*shape)
        reg.before_step(w)
        assert torch.equal(w, target)
        w.grad = None
        reg.after_step(w, {"momentum_buffer": None, "step": torch.tensor(1.0)})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("build", OPTIMIZERS)
@pytest.mark.parametrize("name", parts("reg"))
def test_two_steps_of_any_optimiser_bring_the_kernel_nearer_to_what_the_loss_wants(
    name, build, shape
):
    kernel, wanted = nn.Module(), orthogonal_(randn(*shape), gain=GAIN)
    kernel.w = nn.Parameter(wanted + 0.3 * randn(*shape))
    reg = parts("reg", GAIN)[name]
    reg.attach(kernel, "w")
    optimizer = build(kernel.parameters())

    def loss(w):
        return (w - wanted).square().sum()

    before = loss(kernel.w).item()
    for _ in range(2):
        train_step(reg, optimizer, kernel.w, loss)
    assert loss(kernel.w).item() < before
    assert all(
        value.isfinite().all()
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reg", regularizers(GAIN))
def test_matrices_of_a_stack_do_not_see_each_other(reg, shape):
    w, grad = at_target(shape), randn(*shape)
    w.grad = grad.clone()
    alone = w.detach().reshape(-1, *shape[-2:]).clone()
    with torch.no_grad():
        reg.before_step(w)
        w.add_(w.grad)
        reg.after_step(w, {})
        for i, matrix in enumerate(alone):
            matrix.grad = grad.reshape(alone.shape)[i].clone()
            reg.before_step(matrix)
            matrix.add_(matrix.grad)
            reg.after_step(matrix, {})
    same(w.detach().reshape(alone.shape), alone)


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


@pytest.mark.parametrize("name", [n for n, reg in parts("reg").items() if hasattr(reg, "gain")])
@pytest.mark.parametrize("gain", [0, -1.0, float("nan"), float("inf")])
def test_a_gain_out_of_range_is_refused_by_name(name, gain):
    with pytest.raises(ValueError, match="gain must be .*, got"):
        type(parts("reg")[name])(gain=gain)


def test_the_regulariser_without_options_takes_any_kernel_and_adds_nothing():
    w = randn(3, 2).requires_grad_()
    train_step(Regularizer(), SGD([w]), w, lambda w: w.sum())
    assert Regularizer().penalty(w).item() == 0
