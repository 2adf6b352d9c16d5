"""The differences of two configs, key by key: plain nested dicts with every value filled in, `there` and `here`."""

import math
from collections.abc import Iterable, Iterator, Mapping
from inspect import signature
from pkgutil import resolve_name
from typing import Any, NamedTuple

# the values that Lightning's Trainer puts in the place of null
OF_NULL = {
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "limit_test_batches": 1.0,
    "val_check_interval": 1.0,
    "max_steps": -1,
    "precision": "32-true",
}
ONE_OR_ALL = ("limit_", "val_check_interval", "overfit_batches")  # 1 is one batch, 1.0 is all
ABSENT = object()


class Difference(NamedTuple):
    """A dotted key and its two values; ABSENT where a side has none."""

    key: str
    there: Any
    here: Any

    def __str__(self) -> str:
        return f"{self.key}: {_plain(self.there)} there, {_plain(self.here)} here"


def walk(
    there: Any, here: Any, target: str | None = None, path: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """The differences of two nodes at `path`, which build `target`.

    A key that one side lacks has the default of the signature of its `_target_`, as the code had before there was such
    an option; without a `_target_` it is null. Parts that build different classes differ in `_target_` alone.
    """
    if not (isinstance(there, Mapping) and isinstance(here, Mapping)):
        if not _equal(there, here, path):
            yield _difference(path, there, here)
        return
    targets = [side.get("_target_") for side in (there, here)]
    if targets[0] != targets[1]:
        yield _difference((*path, "_target_"), *targets)
        return
    target = targets[1] or target
    for key in [*there, *(key for key in here if key not in there)]:
        yield from walk(
            _value(there, key, target), _value(here, key, target), None, (*path, str(key))
        )


def in_words(differences: Iterable[Difference], most: int = 6) -> str:
    """Differences in one line, the first `most` of them."""
    lines = list(map(str, differences))
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "; ".join([*lines[:most], *more])


def _value(node: Mapping, key: str, target: str | None) -> Any:
    """The node's value under `key`, else the default in the signature of the `target` that it builds."""
    value = node[key] if key in node else _default(target, key)
    of_trainer = value is None and target is not None and target.endswith(".Trainer")
    return OF_NULL.get(key) if of_trainer else value


def _default(target: str | None, key: str) -> Any:
    if target is None:
        return None
    try:
        parameter = signature(resolve_name(target)).parameters[key]
    except Exception:  # of a user's module, or there is no such parameter
        return ABSENT
    return ABSENT if parameter.default is parameter.empty else parameter.default


def _equal(there: Any, here: Any, path: tuple[str, ...]) -> bool:
    if isinstance(there, list | tuple) and isinstance(here, list | tuple):
        pairs = zip(there, here, strict=False)
        return len(there) == len(here) and all(not any(walk(*pair)) for pair in pairs)
    if not (_is_number(there) and _is_number(here)):
        return type(there) is type(here) and there == here
    if path[:1] == ("trainer",) and path[1].startswith(ONE_OR_ALL):
        return type(there) is type(here) and there == here
    return there == here or (math.isnan(there) and math.isnan(here))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _difference(path: tuple[str, ...], there: Any, here: Any) -> Difference:
    """The difference at a path; of parts it names the classes that they build."""
    sides = (v.get("_target_", v) if isinstance(v, Mapping) else v for v in (there, here))
    return Difference(".".join(path), *sides)


def _plain(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is ABSENT:
        return "absent"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
