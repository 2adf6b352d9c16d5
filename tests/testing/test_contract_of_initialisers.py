"""Every law of an initialiser is broken by a function that breaks it."""

from functools import partial

import pytest
import torch

from isogain.init import gaussian_, orthogonal_
from isogain.testing import check_initialiser, initialiser_contract
from isogain.testing import initialiser_laws as laws

SHAPES = [(5, 5), (2, 4, 3)]


def another_tensor(w, gain=1.0):
    return orthogonal_(w, gain).clone()


def leaves_a_hole(w, gain=1.0):
    with torch.no_grad():
        orthogonal_(w, gain)
        w[..., 0, 0] = torch.nan
    return w


def the_storage(w, gain=1.0):
    """All that lies in the storage of w, the same number."""
    gaussian_(w, gain)
    entries = w.untyped_storage().nbytes() // w.element_size()
    torch.as_strided(w.detach(), (entries,), (1,)).add_(1)
    return w


def without_gain(w, gain=1.0):
    orthogonal_(w, gain)
    return orthogonal_(w)


def own_generator(w, gain=1.0):
    torch.seed()
    return orthogonal_(w, gain)


def one_draw(w, gain=1.0):
    with torch.no_grad():
        return w.copy_(orthogonal_(torch.empty_like(w[(0,) * (w.dim() - 2)]), gain))


def no_half(w, gain=1.0):
    if w.dtype in laws.HALF and w.numel() == 25:
        raise NotImplementedError
    return orthogonal_(w, gain)


def no_empty_ones(w, gain=1.0):
    if not w.numel():
        raise IndexError("no entries")
    return orthogonal_(w, gain)


def any_gain(w, gain=1.0):
    return orthogonal_(w, gain if gain > 0 else 1.0)


def any_tensor(w, gain=1.0):
    return w if w.dim() < 2 else orthogonal_(w, gain)


BROKEN = {
    another_tensor: laws.it_fills_its_argument_and_returns_it,
    leaves_a_hole: laws.it_fills_its_argument_and_returns_it,
    the_storage: laws.it_fills_a_view_and_nothing_beside_it,
    without_gain: laws.gain_scales_the_draw,
    own_generator: laws.the_draw_follows_the_global_generator,
    one_draw: laws.matrices_of_a_stack_are_separate_draws,
    gaussian_: laws.every_matrix_is_gain_times_orthogonal,
    no_half: laws.half_precision_is_filled_in_its_own_type,
    no_empty_ones: laws.a_stack_of_any_size_is_filled_and_what_has_no_entries_stays,
    any_gain: laws.a_gain_out_of_range_is_refused_by_name,
    any_tensor: laws.what_is_no_stack_of_real_matrices_is_refused,
}


@pytest.mark.parametrize("init", BROKEN, ids=lambda init: init.__name__)
def test_a_function_that_breaks_a_law_is_refused_by_it(init):
    state, broken = torch.get_rng_state(), set()
    for clause in initialiser_contract(init, shapes=SHAPES, orthogonal=True):
        try:
            clause()
        except AssertionError as error:
            assert "\n" not in str(error)
            broken.add(clause.law)
    assert BROKEN[init] in broken and torch.equal(torch.get_rng_state(), state)


def test_every_law_is_broken_by_one_of_them():
    clauses = initialiser_contract(orthogonal_, orthogonal=True)
    assert {clause.law for clause in clauses} == set(BROKEN.values())


class Halves:
    """An initialiser with a gain of its class."""

    def __init__(self, gain=1.0):
        gaussian_(torch.empty(1, 1), gain)
        self.options = {"gain": gain}

    def __call__(self, w):
        return gaussian_(w, self.options["gain"] / 2)


@pytest.mark.parametrize(
    "init", [Halves, Halves(2.0), partial(gaussian_, gain=2.0)], ids=["class", "object", "partial"]
)
def test_a_class_an_object_and_a_partial_are_taken_at_other_gains(init):
    check_initialiser(init, shapes=SHAPES)
    names = {clause.law for clause in initialiser_contract(init)}
    assert laws.gain_scales_the_draw in names


def test_what_has_no_gain_is_not_asked_for_one():
    clauses = initialiser_contract(torch.nn.init.dirac_)
    assert laws.gain_scales_the_draw not in {clause.law for clause in clauses}
