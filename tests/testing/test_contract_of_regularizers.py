"""Every law of a regulariser is broken by a class that breaks it, and kept by classes that keep it."""

from functools import partial

import pytest
import torch
from torch import nn

from isogain.reg import Regularizer, Soft, Stiefel
from isogain.testing import check_regularizer, moment_laws, penalty_laws, regularizer_contract

SHAPES = [(5, 5), (2, 4, 3)]


class Attaches(Stiefel):
    """Attached elsewhere."""

    def make_feasible_(self, w):
        w.mul_(1.5)


class Shrinks(Soft):
    def after_step(self, w, state):
        w.mul_(1 - 1e-6)


class Drifts(Regularizer):
    """Moves only what moved before."""

    def before_step(self, w):
        self.seen = True

    def after_step(self, w, state):
        if hasattr(self, "seen"):
            w.add_(1e-6)


class OtherGain(Stiefel):
    def gain_of(self, w):
        return 1.1


class EditsWeights(Regularizer):
    def before_step(self, w):
        if w.grad.any():
            w.add_(1e-9)


class LosesTheGradient(Regularizer):
    def before_step(self, w):
        w.grad = None if w.grad.any() else w.grad


class InventsGradients(Regularizer):
    def before_step(self, w):
        w.grad = torch.zeros_like(w) if w.grad is None else w.grad


class NeedsAGradient(Regularizer):
    def before_step(self, w):
        w.grad.mul_(1)


class NeedsAStep(Regularizer):
    def after_step(self, w, state):
        state["momentum_buffer"]


class Climbs(Regularizer):
    def before_step(self, w):
        if w.grad is not None:
            w.grad.neg_()


class Mixes(Regularizer):
    """The first matrix gets the gradient of all."""

    def before_step(self, w):
        if w.grad is not None and w.dim() > 2:
            w.grad[0] = w.grad.mean(0)


class Reports(Regularizer):
    def report(self):
        return {"reg/strength": float("nan")}


class ForgetsItsOption(Regularizer):
    def __init__(self, strength=0.1):
        super().__init__()


class TakesAnyGain(Regularizer):
    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = gain


class Unlocated(Soft):
    """Least elsewhere, at twice the gain."""

    def penalty(self, w):
        return super().penalty(w / 2)


class Stack(Soft):
    """No scalar."""

    def penalty(self, w):
        return super().penalty(w).reshape(1)


class Sloped(Regularizer):
    """Least at its target, with a slope there: |E|."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = Soft(gain=gain).gain

    def penalty(self, w):
        return Soft(1.0, self.gain).penalty(w).sqrt()


class Detached(Soft):
    """Half of the value is hidden from autograd."""

    def penalty(self, w):
        return super().penalty(w) / 2 + super().penalty(w.detach()) / 2


class TwiceTheGradient(Soft):
    def add_gradient_(self, grad, x, factor):
        super().add_gradient_(grad, x, 2 * factor)


class EditsTheLoss(Soft):
    def before_step(self, w):
        w.grad.mul_(1.01)
        super().before_step(w)


class LogsMore(Soft):
    def measured_penalty(self, w):
        return 1.01 * self.penalty(w)


class Draws(Soft):
    def measured_penalty(self, w):
        return self.penalty(w) - 0 * torch.rand(())


class Counts(Soft):
    def __init__(self, strength=1e-3, gain=1.0):
        super().__init__(strength, gain)
        self.register_buffer("calls", torch.zeros(()))

    def penalty(self, w):
        self.calls += 1
        return super().penalty(w)


class Hidden(Regularizer):
    """A penalty that it says it has not."""

    has_penalty = False

    def penalty(self, w):
        return w.square().sum()


class WithoutStrength(Regularizer):
    """Adds its gradient, and has no option `strength` for a twin without it."""

    gain = 1.0
    adds_penalty_gradient = True
    size = 1.0

    def penalty(self, w):
        return Soft(0.1).penalty(w)

    def before_step(self, w):
        if w.grad is not None:
            w.grad.add_(self.size * torch.func.grad(Soft(0.1).penalty)(w.detach()))


class HalfTheGradient(WithoutStrength):
    size = 0.5


m, p = moment_laws, penalty_laws
flat = m.a_kernel_at_its_target_stays_there_when_the_loss_is_flat
bare = m.a_kernel_without_a_gradient_gets_none_and_stays
least = p.a_penalty_is_least_at_its_target
quiet = p.neither_value_nor_measurement_changes_anything
adds = p.before_step_adds_the_gradient_of_the_penalty
BROKEN = [
    (Attaches, m.a_kernel_at_its_target_is_attached_where_it_is),
    (Shrinks, flat),
    (Drifts, flat),
    (OtherGain, m.the_gain_is_that_of_the_target),
    (EditsWeights, m.before_step_edits_the_gradient_alone),
    (LosesTheGradient, m.before_step_edits_the_gradient_alone),
    (InventsGradients, bare),
    (NeedsAGradient, bare),
    (NeedsAStep, m.after_step_needs_no_step_before_it),
    (Climbs, m.two_steps_of_any_optimiser_bring_the_kernel_nearer_to_what_the_loss_wants),
    (Mixes, m.matrices_of_a_stack_do_not_see_each_other),
    (Reports, m.a_report_is_of_finite_numbers_by_name),
    (partial(ForgetsItsOption, strength=0.2), m.the_options_are_those_that_it_was_built_with),
    (TakesAnyGain, m.a_gain_out_of_range_is_refused_by_name),
    (Unlocated, least),
    (Stack, least),
    (partial(Sloped), p.a_smooth_penalty_has_no_slope_at_its_target),
    (Detached, p.the_gradient_of_a_penalty_is_that_of_its_value),
    (TwiceTheGradient, adds),
    (EditsTheLoss, adds),
    (HalfTheGradient, adds),
    (LogsMore, p.what_is_logged_is_at_most_the_value),
    (Draws, quiet),
    (Counts, quiet),
    (Hidden, p.without_a_penalty_the_value_is_zero_and_no_gradient_is_claimed),
]


def broken_laws(reg, **options):
    """The laws that a regulariser breaks, in their order."""
    broken = []
    for clause in regularizer_contract(reg, shapes=SHAPES, **options):
        try:
            clause()
        except AssertionError as error:
            assert "\n" not in str(error)
            broken.append(clause.law)
    return broken


@pytest.mark.parametrize(("reg", "law"), BROKEN, ids=lambda x: getattr(x, "__name__", "partial"))
def test_a_class_that_breaks_a_law_is_refused_by_it(reg, law):
    assert law in broken_laws(reg)


def test_every_law_is_broken_by_one_of_them():
    laws = {*m.OF_A_SHAPE, *m.OF_THE_CLASS, *p.OF_A_SHAPE}
    assert laws <= {law for _, law in BROKEN}


@pytest.mark.parametrize(
    "reg",
    [Regularizer, Soft(0.01, gain=1.3), partial(Stiefel, gain=0.7), WithoutStrength],
    ids=["none", "instance", "partial", "without strength"],
)
def test_a_class_a_partial_and_an_instance_that_keep_the_laws_pass(reg):
    check_regularizer(reg, shapes=SHAPES)


def test_an_instance_is_left_as_it_was():
    reg = Stiefel()
    check_regularizer(reg, shapes=[(4, 4)])
    assert reg._kernels == [] and reg.moments is None and isinstance(reg, nn.Module)


def test_another_target_and_a_slope_are_options():
    class Zero(Regularizer):
        def penalty(self, w):
            return w.abs().sum()

    def zeros(shape):
        return torch.zeros(shape, dtype=torch.float64)

    with pytest.raises(AssertionError, match="Zero breaks the law"):
        check_regularizer(Zero, shapes=[(4, 4)])
    clauses = regularizer_contract(Zero, shapes=[(4, 4)], target=zeros, smooth=False)
    names = {clause.law for clause in clauses}
    assert p.a_smooth_penalty_has_no_slope_at_its_target not in names and flat not in names
