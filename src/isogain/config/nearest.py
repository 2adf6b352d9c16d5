"""The end of an error message about a name that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """A question that names the nearest of `names`, or a list of all of them where none is near.

    >>> nearest("gian", ["gain", "margin"])
    "did you mean 'gain'?"
    """
    names = sorted(map(str, names))
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(names) or 'none'}"
