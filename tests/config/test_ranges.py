import math

import pytest

from isogain.config.ranges import at_least, between, positive

LAWS = [
    (positive, (), [1e-300, 1, 2.5], [0, -1, -0.0, math.nan, math.inf]),
    (at_least, (2,), [2, 2.5, 100], [1.999, -3, math.nan, math.inf]),
    (between, (0, 1), [0, 0.5, 0.999], [-0.001, 1, math.nan, math.inf]),
]


@pytest.mark.parametrize(
    ("check", "limits", "value"),
    [(check, limits, value) for check, limits, good, _ in LAWS for value in good],
)
def test_a_value_in_range_comes_back(check, limits, value):
    assert check("rate", value, *limits) == value


@pytest.mark.parametrize(
    ("check", "limits", "value"),
    [(check, limits, value) for check, limits, _, bad in LAWS for value in bad],
)
def test_a_value_out_of_range_is_refused_in_one_line_with_name_limits_and_value(
    check, limits, value
):
    with pytest.raises(ValueError, match=rf"^rate must be .*, got {value}$") as error:
        check("rate", value, *limits)
    assert all(str(limit) in str(error.value) for limit in limits)
    assert "\n" not in str(error.value)
