"""A range is the numbers that its text names."""

from decimal import Decimal

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from isogain.config.typed_range import spelled_out, typed


def parsed(text: str):
    return OverridesParser.create().parse_override(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(0.9,1.15,0.1)", ["0.9", "1.0", "1.1"]),
        ("range(0,0.9,0.3)", ["0.0", "0.3", "0.6"]),  # its end is no part of it
        ("range(0.1,0.8,0.1)", ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]),
        ("range(1.0,0.7,-0.1)", ["1.0", "0.9", "0.8"]),
        ("range(1e-4,3.5e-4,1e-4)", ["0.0001", "0.0002", "0.0003"]),
        ("range(0.5,0.5,0.1)", []),
        ("range(1,4)", ["1", "2", "3"]),
        ("range(0,1.5)", ["0.0", "1.0"]),
        ("0.1,0.30000000000000004", ["0.1", "0.30000000000000004"]),
    ],
)
def test_a_range_has_the_numbers_that_are_typed(text, values):
    assert typed(parsed(f"a={text}")) == values


@pytest.mark.parametrize("step", ["0.1", "0.01", "0.07", "0.001"])
def test_every_number_is_that_of_decimal_arithmetic(step):
    exact = [Decimal("0.3") + k * Decimal(step) for k in range(1000)]
    expected = [float(v) for v in exact if v < Decimal("1.2")]
    assert [float(v) for v in typed(parsed(f"a=range(0.3,1.2,{step})"))] == expected


def test_other_overrides_stay_as_they_are():
    texts = ["a=1", "b=x,y", "c=range(0,3)", "+d=range(0.1,0.35,0.1)"]
    out = spelled_out([parsed(text) for text in texts])
    assert [o.input_line for o in out] == [*texts[:3], "+d=0.1,0.2,0.3"]
