"""Values as JSON can hold them, and no longer than a screen needs."""

import math
from collections.abc import Mapping
from typing import Any

DIGITS = 6


def plain(node: Any) -> Any:
    """Dicts and lists of texts, whole numbers, and others to DIGITS digits; None for what is not finite."""
    if node is None or isinstance(node, bool | int | str):
        return node
    if isinstance(node, float):
        return float(f"{node:.{DIGITS}g}") if math.isfinite(node) else None
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    return str(node)  # a date, say, that somebody's YAML holds
