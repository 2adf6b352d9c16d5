"""The values of `trainer.precision` under which kernels and constraints keep what they are measured to."""

from isogain.config.errors import ConfigError

EXACT = "32-true, 64-true, bf16-mixed, or 16-mixed on a GPU"  # parameters of at least float32
SAME_AS = {"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}
BITS = {"bf16-true": 8, "16-true": 11}  # of a parameter's digits


def canonical(precision: str | int | None) -> str:
    """Lightning's name of a precision, of which it has several."""
    return SAME_AS.get(str(precision), str(precision or "32-true"))


def check_stored(precision: str | int | None) -> None:
    """Raise ConfigError where parameters would be stored in half precision, or by a library's own layers."""
    name = canonical(precision)
    if name in BITS:
        raise ConfigError(
            f"trainer.precision={precision}: stores the kernels with {BITS[name]} binary digits, so that a gap or a "
            f"spectrum shows that rounding: use {EXACT}"
        )
    if name.startswith("transformer-engine"):
        raise ConfigError(f"trainer.precision={precision}: replaces layers: use {EXACT}")


def check_used(precision: str | int | None, used: str) -> None:
    """Raise ConfigError where Lightning put another precision in place of what was asked for."""
    if canonical(precision) != used:
        raise ConfigError(
            f"trainer.precision={precision}: this accelerator cannot, and would take {used}: use {EXACT}"
        )
