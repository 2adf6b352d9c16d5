"""Values that JSON can hold, rounded to the digits that a screen shows."""

import math
from collections.abc import Mapping
from typing import Any

DIGITS = 6


def plain(node: Any) -> Any:
    """`node` as dicts, lists, texts, whole numbers and floats of DIGITS digits; None for what is not finite."""
    if node is None or isinstance(node, bool | int | str):
        return node
    if isinstance(node, float):
        return float(f"{node:.{DIGITS}g}") if math.isfinite(node) else None
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    return str(node)  # such as a date in a user's YAML
