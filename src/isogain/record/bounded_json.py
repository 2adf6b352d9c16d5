"""JSON from a file of any origin: plain values of bounded depth and size, or Damaged."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from isogain.record.bounded import Damaged, content

DEPTH = 32  # of lists and objects in each other
LINES = 100_000
LARGEST = 2**63 - 1  # of integers: what lies beyond overflows in floats and tables
SURROGATE = re.compile(
    rb"\\u[dD][89a-fA-F]"
)  # half of a character, maybe alone: no file can store it


def json_value(path: Path) -> Any:
    """The value in a JSON file; raises FileNotFoundError, and Damaged for anything that is not plain bounded JSON."""
    return parsed(content(path), path)


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises Damaged for a file that holds another value, and what json_value() does."""
    value = json_value(path)
    if not isinstance(value, dict):
        raise Damaged(path, "holds no JSON object")
    return value


def json_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects in a file of JSON lines, and a problem for each line without one; ([], []) where there is no file.

    A line that a kill cut short begins an object and does not end it: it is left out, and is no problem.
    """
    objects, problems = [], []
    for number, line in enumerate(_lines(path), 1):
        if not line:
            continue
        try:
            value = parsed(line, path)
        except Damaged:
            if not line.startswith(b"{") or line.endswith(b"}"):
                problems.append(f"{path.name}: line {number} is not JSON")
            continue
        if isinstance(value, dict):
            objects.append(value)
        else:
            problems.append(f"{path.name}: line {number} is not an object")
    return objects, problems


def parsed(data: bytes, path: Path) -> Any:
    """The value that `data`, of the file at `path`, spells; raises Damaged."""
    try:
        value = json.loads(data, object_pairs_hook=_without_repeats, parse_int=_integer)
        if _exceeds(value, DEPTH):
            raise Damaged(path, f"nested more than {DEPTH} deep")
        if SURROGATE.search(data):
            whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
            return json.loads(whole)
    except Damaged:
        raise
    except json.JSONDecodeError as error:
        raise Damaged(path, f"not JSON from line {error.lineno} on: {error.msg}") from None
    except RecursionError:
        raise Damaged(path, f"nested more than {DEPTH} deep") from None
    except ValueError as error:
        raise Damaged(path, f"not JSON: {error}") from None
    return value


def _lines(path: Path) -> Iterator[bytes]:
    try:
        data = content(path)
    except FileNotFoundError:
        return
    if data.count(b"\n") > LINES:
        raise Damaged(path, f"has more than {LINES:,} lines")
    yield from data.split(b"\n")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    object_ = dict(pairs)
    if len(object_) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice[:40]!r} is there twice")
    return object_


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > LARGEST:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _exceeds(value: Any, depth: int) -> bool:
    """Whether values lie deeper than `depth`; level by level, for recursion has a limit of its own."""
    level = [value]
    for _ in range(depth + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()
