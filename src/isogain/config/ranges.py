"""Range checks for constructors: one sentence that names the option, what it must be and what it got."""

import math


def positive(name: str, value: float) -> float:
    """`value`, if it is finite and > 0; raises ValueError otherwise."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number > 0, got {value}")
    return value


def at_least(name: str, value: float, low: float) -> float:
    """`value`, if it is finite and >= `low`; raises ValueError otherwise."""
    if not (math.isfinite(value) and value >= low):
        raise ValueError(f"{name} must be a finite number >= {low}, got {value}")
    return value


def between(name: str, value: float, low: float, high: float) -> float:
    """`value`, if `low` <= value < `high`; raises ValueError otherwise."""
    if not low <= value < high:
        raise ValueError(f"{name} must be at least {low} and less than {high}, got {value}")
    return value
