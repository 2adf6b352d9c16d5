import math

import numpy as np
import pytest

from isogain.schedules import FACTORS, constant, cosine, linear, step

TIMES = np.linspace(0, 1, 401)


def over_training(factor):
    return np.array([factor(t) for t in TIMES])


def test_a_factor_is_found_by_the_name_of_its_function():
    assert FACTORS == {"constant": constant, "linear": linear, "cosine": cosine, "step": step}


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_starts_at_1_and_never_rises_or_turns_negative(name):
    factors = over_training(FACTORS[name])
    assert factors[0] == 1
    assert (np.diff(factors) <= 0).all()
    assert factors[-1] >= 0


@pytest.mark.parametrize("factor", [linear, cosine, step])
def test_what_is_scheduled_has_no_strength_left_at_the_end(factor):
    assert factor(1.0) == 0


def test_the_constant_factor_does_not_change():
    assert (over_training(constant) == 1).all()


def test_the_linear_factor_is_the_straight_line_between_its_ends():
    np.testing.assert_allclose(over_training(linear), np.interp(TIMES, [0, 1], [1, 0]), atol=1e-15)


def test_the_cosine_factor_is_the_squared_cosine_of_a_quarter_turn():
    np.testing.assert_allclose(over_training(cosine), np.cos(math.pi * TIMES / 2) ** 2, atol=1e-15)


@pytest.mark.parametrize("t", [0.05, 0.2, 0.4])
def test_the_cosine_falls_as_much_before_the_middle_as_after_it(t):
    assert cosine(0.5 - t) + cosine(0.5 + t) == pytest.approx(1, abs=1e-15)


def test_the_steps_are_those_of_bansal_over_200_epochs():
    """×1e-3 after epoch 20, ×1e-4 after 50, ×1e-6 after 70, 0 after 120."""
    expected = np.repeat([1, 1e-3, 1e-4, 1e-6, 0], np.diff([0, 20, 50, 70, 120, 200]))
    assert [step(epoch / 200) for epoch in range(200)] == expected.tolist()
