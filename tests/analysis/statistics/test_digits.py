"""One number has one text and one identity, wherever it is shown or compared."""

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pandas as pd
import pytest

from isogain.analysis.statistics.digits import are_equal, estimate, rounded, with_ties


@pytest.mark.parametrize("error, digits", [(0.05, 3), (2.0, 1), (30.0, 0), (1e-4, 5)])
def test_the_text_is_the_nearest_decimal_whatever_type_holds_the_number(error, digits):
    halves = np.arange(1, 4000, 2) / (
        2 * 10**digits
    )  # decimal ties, of which floats lie to one side
    for value in [*halves, *-halves[:50], *np.random.default_rng(0).normal(size=200)]:
        unit = Decimal(1).scaleb(-digits)
        nearest = Decimal(float(value)).quantize(unit, rounding=ROUND_HALF_EVEN) + Decimal(0)
        texts = {rounded(kind(value), error) for kind in (float, np.float64)}
        assert texts == {f"{nearest:.{digits}f}"}


def test_no_number_is_minus_zero():
    assert rounded(-1e-9, 0.05) == "0.000" and rounded(-0.0, 2.0) == "0.0"


def test_sums_in_another_order_are_equal_and_neighbours_are_not():
    parts = np.random.default_rng(2).normal(size=(50, 9))
    for row in parts:
        assert are_equal(sum(row), sum(row[::-1]))
    assert not are_equal(1.0, 1 + 1e-9) and are_equal(0.0, 0.0) and not are_equal(0.0, 1e-300)


def test_ties_are_found_whatever_noise_lies_on_them():
    rng = np.random.default_rng(3)
    exact = np.array([0.0, 0.1, -0.1, 0.1, 0.4, -0.4, 0.7])
    noisy = with_ties(exact + rng.uniform(-1e-16, 1e-16, 7), 1e-14)
    assert len(set(abs(noisy))) == 4 and noisy[0] == 0
    np.testing.assert_allclose(noisy, exact, atol=1e-15)
    assert len(with_ties(np.array([]), 1e-14)) == 0
    assert with_ties(np.array([1.0, 2.0]), 0).tolist() == [1, 2]


def test_an_estimate_without_an_interval_shows_four_digits():
    assert estimate(pd.Series({"mean": 0.71854, "low": np.nan, "high": np.nan})) == "0.7185"
