"""What to say about a name that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """The nearest name that does exist, or all of them, as the end of an error message."""
    names = sorted(map(str, names))
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(names) or 'none'}"
