"""What a regulariser with a penalty owes: least at its target, and its own gradient."""

import torch
from torch import Tensor

from isogain.init import orthogonal_
from isogain.reg.base import Regularizer, Time
from isogain.testing.expectations import expect, expect_close
from isogain.testing.regularizer_case import RegularizerCase, Shape
from isogain.testing.single_kernel import randn

SETTLED = 30  # calls of before_step after which a power method's vector no longer moves


def _gradient(value: Tensor, w: Tensor) -> Tensor:
    return torch.autograd.grad(value, w)[0]


def _edited(reg: Regularizer, w: Tensor, grad: Tensor) -> Tensor:
    """What `before_step` makes of a gradient."""
    w.grad = grad.clone()
    with torch.no_grad():
        reg.before_step(w)
    return w.grad.clone()


def with_one_largest_error(shape: Shape, gain: float) -> Tensor:
    """Kernels with one eigenvalue of WᵀW/g² − I at 2, and those below half its size."""
    m = min(shape[-2:])
    u, v = (orthogonal_(randn(*shape[:-2], n, m)) for n in shape[-2:])
    errors = torch.rand(*shape[:-2], 1, m, dtype=torch.float64) - 0.5
    errors[..., 0] = 2
    return gain * (u * (1 + errors).sqrt()) @ v.mT


def a_penalty_is_least_at_its_target(case: RegularizerCase, shape: Shape) -> None:
    there = case.at_least_penalty(shape)
    reg, w = case.attached_at(there)
    least = reg.penalty(w)
    expect(least.shape == (), "a scalar penalty", f"one of shape {tuple(least.shape)}")
    nudged = there.clone()
    nudged[..., 0, 0] += 0.1
    others = {
        **{"0.9 of the target": 0.9 * there, "1.1 of it": 1.1 * there, "zeros": 0 * there},
        **{"one entry moved": nudged, "all entries moved": there + 0.1 * randn(*shape)},
    }
    with torch.no_grad():
        more = {name: (reg.penalty(w.copy_(x)) - least).item() for name, x in others.items()}
    for name, value in more.items():
        enough = 1e-5 * max(more.values())
        expect(value > enough and value > 0, f"a larger penalty at {name}", f"{value:.3g} more")


def a_smooth_penalty_has_no_slope_at_its_target(case: RegularizerCase, shape: Shape) -> None:
    reg, w = case.attached_at(case.at_least_penalty(shape))
    slope = _gradient(reg.penalty(w), w)
    expect_close(slope, torch.zeros_like(slope), "a gradient of zero at the target", atol=1e-13)


def the_gradient_of_a_penalty_is_that_of_its_value(case: RegularizerCase, shape: Shape) -> None:
    """By finite differences in float64, at a normal draw."""
    reg, w = case.attached_at(randn(*shape))
    right = torch.autograd.gradcheck(reg.penalty, w, raise_exception=False)
    expect(right, "the derivative of the value from autograd", "another")


def before_step_adds_the_gradient_of_the_penalty(case: RegularizerCase, shape: Shape) -> None:
    """It is that of the same regulariser without strength, given the gradient of loss and penalty.

    Without an option `strength` it is compared with itself: before_step is linear in all that it adds up, so what it
    makes of g + ∂penalty is what it makes of g, and once more what it makes of 0.
    """
    reg, w = case.attached_at(with_one_largest_error(shape, case.gain))
    g = randn(*shape)
    for _ in range(SETTLED):
        _edited(reg, w, g)
    slope, without = _gradient(reg.penalty(w), w), case.without_strength()
    expect(slope.abs().max() > 0, "a penalty with a slope", "none")
    if without is None:
        actual = _edited(reg, w, g + slope)
        wanted = _edited(reg, w, g) + _edited(reg, w, 0 * g)
    else:
        actual, wanted = _edited(reg, w, g), _edited(*without.attached_at(w.detach()), g + slope)
    expect_close(actual, wanted, "the penalty's gradient, once, in before_step", rtol=1e-11)


def what_is_logged_is_at_most_the_value(case: RegularizerCase, shape: Shape) -> None:
    reg, w = case.attached_at(randn(*shape))
    with torch.no_grad():
        logged, value = reg.measured_penalty(w).item(), reg.penalty(w).item()
    expect(logged <= value * (1 + 1e-11), f"a measured penalty of at most {value:.6g}", logged)


def neither_value_nor_measurement_changes_anything(case: RegularizerCase, shape: Shape) -> None:
    reg, w = case.attached_at(randn(*shape))
    reg.time, w.grad = Time(7, 1.5, 0.25), randn(*shape)
    before = [w.detach().clone(), w.grad.clone(), *(b.clone() for b in reg.buffers())]
    drawn = torch.get_rng_state()
    with torch.no_grad():
        reg.measured_penalty(w)
    reg.penalty(w)
    after = [w.detach(), w.grad, *reg.buffers()]
    expect(all(map(torch.equal, after, before)), "kernel, gradient and buffers as before", "others")
    expect(torch.equal(torch.get_rng_state(), drawn), "no draw", "one")
    expect(reg.time == Time(7, 1.5, 0.25), "the same time", reg.time)


def without_a_penalty_the_value_is_zero_and_no_gradient_is_claimed(case: RegularizerCase) -> None:
    reg = case.build()
    if not reg.has_penalty:
        value = reg.penalty(randn(4, 6, 6)).item()
        expect(value == 0, "a penalty of 0 where has_penalty is False", value)


OF_A_SHAPE = (
    a_penalty_is_least_at_its_target,
    a_smooth_penalty_has_no_slope_at_its_target,
    the_gradient_of_a_penalty_is_that_of_its_value,
    before_step_adds_the_gradient_of_the_penalty,
    what_is_logged_is_at_most_the_value,
    neither_value_nor_measurement_changes_anything,
)
