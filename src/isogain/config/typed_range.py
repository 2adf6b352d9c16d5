"""The numbers of a range as a user would type them: range(0.9,1.15,0.1) has 1.1, not 1.0999999999999999."""

import random
from decimal import Decimal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


def typed(override: Override) -> list[str]:
    """The values of a sweep, in their order, as they are typed on a command line.

    Hydra adds up floats, which ends range(0,0.9,0.3) at 0.9; decimals end it before.
    """
    if not _is_of_floats(override):
        return list(override.sweep_string_iterator())
    ends = override.value()
    start, stop, step = (Decimal(repr(part)) for part in (ends.start, ends.stop, ends.step))
    count = max(0, int(-((start - stop) // step))) if step else 0
    values = [repr(float(start + k * step)) for k in range(count + 1)]
    inside = [v for v in values if (Decimal(v) < stop if step > 0 else Decimal(v) > stop)]
    if ends.shuffle:
        random.shuffle(inside)
    return inside


def spelled_out(overrides: list[Override]) -> list[Override]:
    """The overrides with every range of floats replaced by a choice between its numbers."""
    parser = OverridesParser.create()
    return [
        parser.parse_override(f"{o.get_key_element()}={','.join(values)}")
        if _is_of_floats(o) and (values := typed(o))
        else o
        for o in overrides
    ]


def _is_of_floats(override: Override) -> bool:
    if not override.is_range_sweep():
        return False
    ends = override.value()
    return any(isinstance(part, float) for part in (ends.start, ends.stop, ends.step))
