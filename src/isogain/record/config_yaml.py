"""The reader of `config.yaml`: the options that a run was built from."""

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from isogain.record import bounded
from isogain.record.bounded import Damaged
from isogain.record.bounded_yaml import parsed

NAME = "config.yaml"
GROUPS = ("model", "init", "reg", "data", "optim", "experiment")
OURS = "isogain."  # the root `_target_` of a config that isogain wrote starts with it
# a line whose value is a number or a path for every YAML parser; such lines differ from run to run
LINE = re.compile(r"([a-z]\w*): (?:(0|[1-9]\d{0,14})|([A-Za-z_/.][\w.-]*/[\w./-]*))\n", re.ASCII)
CACHED = 4096  # characters of a block that may be kept
BLOCK = re.compile(r"^\S", re.MULTILINE)
BLOCKS = 200
LARGEST = 2**63  # of an option: larger integers overflow in tables


class Foreign(ValueError):
    """A folder that isogain did not write."""


def read_config(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The groups' classes, and the options by dotted key; raises FileNotFoundError, Damaged and Foreign.

    The top-level blocks are parsed one by one, each text once: runs share most of them.
    """
    path = folder / NAME
    text = bounded.text(path)
    if not text.strip():
        raise Damaged(path, "is empty: the run was cut off as it began")
    try:
        blocks = [_of_text(block) for block in _blocks(text)]
    except (Damaged, AttributeError):
        blocks = []  # not laid out in blocks, or broken: the error then names a line of the whole file
    keys = [key for block in blocks for key in block.keys]
    if not blocks or len(set(keys)) < len(keys):
        whole = parsed(text, path)
        if not isinstance(whole, dict):
            raise Foreign("config.yaml holds no keys")
        blocks = [_block_of(whole)]
    target = next((block.target for block in blocks if block.target), "")
    if not target.startswith(OURS):
        raise Foreign("config.yaml is not one of isogain's")
    return (
        {k: v for block in blocks for k, v in block.classes.items()},
        {k: v for block in blocks for k, v in block.options.items()},
    )


class _Block(NamedTuple):
    """Part of a config: its top-level keys, `_target_` among them, the classes of groups, and options."""

    keys: list[str]
    target: str
    classes: dict[str, str]
    options: dict[str, Any]


def _blocks(text: str) -> list[str]:
    """The text of every top-level key; none where there are more than a config has."""
    starts = [m.start() for m in BLOCK.finditer(text)]
    if len(starts) > BLOCKS:
        return []
    ends = [*starts[1:], len(text)]
    return [text[a:b] for a, b in zip([0, *starts[1:]], ends, strict=True)]


def _parsed_block(text: str) -> _Block:
    if line := LINE.fullmatch(text):
        key, number, path = line.groups()
        value = path if number is None else int(number)
        return _Block([key], "", {}, {key: value})
    return _block_of(parsed(text, Path("config.yaml")) or {})


_kept = lru_cache(maxsize=4096)(_parsed_block)


def _of_text(text: str) -> _Block:
    long = len(text) > CACHED or LINE.fullmatch(text)
    return _parsed_block(text) if long else _kept(text)


def _block_of(config: Mapping[str, Any]) -> _Block:
    target = config.get("_target_")
    return _Block(
        list(map(str, config)),
        target if isinstance(target, str) else "",
        _classes(config),
        dict(flattened(config)),
    )


def _classes(config: Mapping[str, Any]) -> dict[str, str]:
    """Group -> the class or function that it builds, for a run without choices.yaml."""
    targets = {g: config[g].get("_target_") for g in GROUPS if isinstance(config.get(g), Mapping)}
    return {group: str(t).rpartition(".")[2].rstrip("_") for group, t in targets.items() if t}


def flattened(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and plain values; keys that only say how to build (`_target_`, …) are left out, lists become text."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{path}{key}.")
        elif not str(key).startswith("_"):
            yield sys.intern(f"{path}{key}"), option(value)


def option(value: Any) -> Any:
    """A value as a table holds it: lists, dates, and integers too large for a column become text."""
    if isinstance(value, int):
        return value if abs(value) < LARGEST else str(value)
    return value if isinstance(value, str | float) or value is None else str(value)
