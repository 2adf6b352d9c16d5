"""A clause says in one line what broke, and draws without leaving a trace."""

from functools import partial

import pytest
import torch

import isogain
from isogain.reg import Soft
from isogain.testing import Clause
from isogain.testing.contract import name_of
from isogain.testing.expectations import expect, expect_all_close, expect_close, expect_refusal


def breach(call):
    with pytest.raises(AssertionError) as caught:
        call()
    return str(caught.value)


def a_number_is_even(number):
    expect(number % 2 == 0, "an even number", number)


def test_a_breach_names_subject_law_place_what_was_expected_and_what_came():
    line = breach(Clause("Three", a_number_is_even, (3,), "1x1"))
    assert line == 'Three breaks the law "a number is even" at 1x1: expected an even number, got 3'
    Clause("Four", a_number_is_even, (4,))()


def test_whatever_a_class_raises_breaks_the_law_in_one_line():
    def it_runs():
        raise RuntimeError("first line\nsecond line")

    line = breach(Clause("Own", it_runs))
    assert line == 'Own breaks the law "it runs": RuntimeError: first line'


def test_a_clause_draws_the_same_each_time_and_leaves_the_generator_as_it_was():
    drawn = []
    clause = Clause("Own", lambda: drawn.append(torch.randn(3)))
    before = torch.get_rng_state()
    clause()
    clause()
    assert torch.equal(*drawn) and torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e-11])
def test_no_number_passes_for_another(bad):
    wanted = torch.zeros(2, dtype=torch.float64)
    assert "expected zeros, got a difference of" in breach(
        lambda: expect_close(wanted + torch.tensor([0, bad]), wanted, "zeros")
    )


def test_another_shape_and_another_number_of_tensors_are_refused():
    one = torch.zeros(1)
    assert breach(lambda: expect_close(one, torch.zeros(2), "zeros")).endswith("got shape (1,)")
    assert breach(lambda: expect_all_close([one], [], "none")).endswith("got 1")


def refuses(error):
    raise error


@pytest.mark.parametrize(
    ("call", "came"),
    [
        (lambda: None, "got none"),
        (lambda: refuses(TypeError("x must be 1")), "got TypeError"),
        (lambda: refuses(ValueError("y must be 1")), "got 'y must be 1'"),
        (lambda: refuses(ValueError("x must be 1\nor 2")), r"got 'x must be 1\nor 2'"),
    ],
    ids=["nothing", "another error", "another name", "two lines"],
)
def test_a_refusal_is_a_value_error_of_one_line_that_names_the_option(call, came):
    assert breach(lambda: expect_refusal(call, "x must be ", "x=0")).endswith(came)


def test_a_subject_has_the_name_of_its_class_or_function():
    assert [name_of(x) for x in (Soft, Soft(), partial(Soft, 0.1))] == ["Soft"] * 3


def test_the_room_is_a_name_of_the_library():
    assert isogain.testing.Clause is Clause and "testing" in dir(isogain)
