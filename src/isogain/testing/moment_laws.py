"""What every regulariser owes at its moments: attach, before_step, after_step, on any kernel and with any optimiser."""

import inspect
import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from isogain.linalg import orthogonality_gap
from isogain.reg.base import Regularizer
from isogain.testing.expectations import expect, expect_close, expect_refusal
from isogain.testing.regularizer_case import RegularizerCase, Shape
from isogain.testing.single_kernel import Kernel, randn, train_step


def flat(w: Tensor) -> Tensor:
    """A loss without slope."""
    return 0 * w.sum()


def a_kernel_at_its_target_is_attached_where_it_is(case: RegularizerCase, shape: Shape) -> None:
    target = case.at_target(shape)
    expect_close(case.attached(target)[1].w, target, "the kernel that was attached")


def a_kernel_at_its_target_stays_there_when_the_loss_is_flat(
    case: RegularizerCase, shape: Shape
) -> None:
    reg, kernel, leaves = case.attached(case.at_target(shape))
    start = kernel.w.detach().clone()
    train_step(reg, torch.optim.SGD(leaves, lr=1.0), kernel.w, flat, leaves)
    expect_close(kernel.w, start, "a kernel that stays where it is")


def the_gain_is_that_of_the_target(case: RegularizerCase, shape: Shape) -> None:
    target = case.orthogonal(shape)
    reg, kernel, _ = case.attached(target)
    gain = reg.gain_of(kernel.w)
    if gain is not None:
        gap = orthogonality_gap(target, gain).max().item()
        expect(gap < 1e-13, f"gain_of {case.gain:g}", f"{gain}")


def before_step_edits_the_gradient_alone(case: RegularizerCase, shape: Shape) -> None:
    reg, kernel, leaves = case.attached(case.at_target(shape))
    start = [leaf.detach().clone() for leaf in leaves]
    (randn(*shape) * kernel.w).sum().backward()
    with torch.no_grad():
        for leaf in leaves:
            reg.before_step(leaf)
    for leaf, before in zip(leaves, start, strict=True):
        expect(torch.equal(leaf, before), "the same weights, bitwise", "others")
        grad = leaf.grad
        kept = grad is not None and grad.shape == leaf.shape and bool(grad.isfinite().all())
        expect(kept, f"a finite gradient of shape {tuple(leaf.shape)}", f"{grad}")


def a_kernel_without_a_gradient_gets_none_and_stays(case: RegularizerCase, shape: Shape) -> None:
    reg, kernel, leaves = case.attached(case.at_target(shape))
    start = kernel.w.detach().clone()
    reg.bind(torch.optim.SGD(leaves, lr=0.1))
    state: dict[str, Any] = {"momentum_buffer": None, "step": torch.tensor(1.0)}
    with torch.no_grad():
        for leaf in leaves:
            reg.before_step(leaf)
            reg.after_step(leaf, state)
    expect(all(leaf.grad is None for leaf in leaves), "no gradient", "one")
    expect_close(kernel.w, start, "a kernel that stays where it is")


def after_step_needs_no_step_before_it(case: RegularizerCase, shape: Shape) -> None:
    reg, kernel, leaves = case.attached(case.at_target(shape))
    start = kernel.w.detach().clone()
    with torch.no_grad():
        for leaf in leaves:
            reg.after_step(leaf, {})
    expect_close(kernel.w, start, "a kernel that stays where it is")


def two_steps_of_any_optimiser_bring_the_kernel_nearer_to_what_the_loss_wants(
    case: RegularizerCase, shape: Shape
) -> None:
    for name, build in case.optimizers.items():
        wanted = case.orthogonal(shape)
        reg, kernel, leaves = case.attached(wanted + 0.3 * randn(*shape))
        optimizer = build(kernel, reg)

        def loss(w: Tensor, wanted: Tensor = wanted) -> Tensor:
            return (w - wanted).square().sum()

        before = loss(kernel.w).item()
        for _ in range(2):
            train_step(reg, optimizer, kernel.w, loss, leaves)
        now = loss(kernel.w).item()
        expect(now < before, f"a loss below {before:.6g} after two steps of {name}", f"{now:.6g}")
        kept = [v for state in optimizer.state.values() for v in state.values()]
        finite = all(bool(v.isfinite().all()) for v in kept if isinstance(v, Tensor))
        expect(finite, f"a finite state of {name}", "NaN or inf in it")


def _give_matrix(whole: Regularizer, one: Regularizer, i: int) -> None:
    """What a regulariser draws for the kernel of a stack, to one that is attached to its matrix number i alone."""
    for theirs, ours in zip(whole.buffers(), one.buffers(), strict=True):
        if ours.ndim:
            ours.copy_(theirs.reshape(-1, *ours.shape)[i])


def _moved(reg: Regularizer, kernel: Kernel, leaves: list[Tensor], direction: Tensor) -> Tensor:
    """The kernel after two steps of gradient descent along `direction`."""
    groups: list[dict[str, Any]] = [{"params": leaves}, {"params": reg.scales(), "lr": 0.01}]
    optimizer = torch.optim.SGD(groups, lr=0.3, momentum=0.9)
    for _ in range(2):
        train_step(reg, optimizer, kernel.w, lambda w: (direction * w).sum(), leaves)
    return kernel.w.detach()


def matrices_of_a_stack_do_not_see_each_other(case: RegularizerCase, shape: Shape) -> None:
    shape = shape if len(shape) > 2 else (3, *shape)
    w, direction = case.at_target(shape) + 0.1 * randn(*shape), randn(*shape)
    stack = case.attached(w)
    alone = [case.attached(matrix) for matrix in w.reshape(-1, *shape[-2:])]
    for i, one in enumerate(alone):
        _give_matrix(stack[0], one[0], i)
    along = direction.reshape(-1, *shape[-2:])
    singles = [_moved(*one, d) for one, d in zip(alone, along, strict=True)]
    expected = f"matrices of {shape} that move as each would alone"
    expect_close(_moved(*stack, direction), torch.stack(singles).view(shape), expected, rtol=1e-11)


def a_report_is_of_finite_numbers_by_name(case: RegularizerCase) -> None:
    reg, kernel, leaves = case.attached(case.orthogonal((4, 6, 6)))
    _moved(reg, kernel, leaves, randn(4, 6, 6))
    report = reg.report()
    fits = all(isinstance(key, str) and math.isfinite(value) for key, value in report.items())
    expect(fits, "finite numbers by name", report)


def the_options_are_those_that_it_was_built_with(case: RegularizerCase) -> None:
    """Those of a partial are compared; and what is rebuilt from its options has the same."""
    given, reg = getattr(case.build, "keywords", {}), case.build()
    options = reg.options()
    expect(given.items() <= options.items(), f"options {given}", options)
    again = type(reg)(**options).options()
    expect(again == options, f"options {options} when rebuilt from them", again)


def a_gain_out_of_range_is_refused_by_name(case: RegularizerCase) -> None:
    kind: Any = type(case.build())
    if "gain" not in inspect.signature(kind).parameters:
        return
    for gain in (0, -1.0, math.nan, math.inf):
        expect_refusal(partial(kind, gain=gain), "gain must be ", f"gain={gain}")


OF_A_SHAPE = (
    a_kernel_at_its_target_is_attached_where_it_is,
    a_kernel_at_its_target_stays_there_when_the_loss_is_flat,
    the_gain_is_that_of_the_target,
    before_step_edits_the_gradient_alone,
    a_kernel_without_a_gradient_gets_none_and_stays,
    after_step_needs_no_step_before_it,
    two_steps_of_any_optimiser_bring_the_kernel_nearer_to_what_the_loss_wants,
    matrices_of_a_stack_do_not_see_each_other,
)
OF_THE_CLASS = (
    a_report_is_of_finite_numbers_by_name,
    the_options_are_those_that_it_was_built_with,
    a_gain_out_of_range_is_refused_by_name,
)
