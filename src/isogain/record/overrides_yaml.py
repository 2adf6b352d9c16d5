"""The reader of `overrides.yaml`: the words of a run's command line, and the options and choices among them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isogain.record import bounded
from isogain.record.bounded import Damaged
from isogain.record.bounded_yaml import parsed
from isogain.record.config_yaml import GROUPS, option

NAME = "overrides.yaml"
# a list of words with a = in them, which are text to every YAML parser: matching is ten times as fast as parsing
PLAIN = re.compile(r"(?:- [A-Za-z_+~][\w./@+~]*=[\w./+-]*\n)+", re.ASCII)


def read_overrides(folder: Path) -> list[str]:
    """The overrides on a run's command line, in order; raises FileNotFoundError and Damaged."""
    path = folder / NAME
    text = bounded.text(path)
    if PLAIN.fullmatch(text):
        return [line[2:] for line in text.splitlines()]
    overrides = parsed(text, path)
    if overrides is not None and not isinstance(overrides, list):
        raise Damaged(path, "holds no list")
    if any(isinstance(override, list | dict) for override in overrides or []):
        raise Damaged(path, "holds more than a list of texts")
    return [str(override) for override in overrides or []]


def split(override: str) -> tuple[str, Any]:
    """The key and the value of an override.

    >>> split("+optim.lr=1e-3")
    ('optim.lr', 0.001)
    """
    key, _, text = override.lstrip("+~").partition("=")
    return key, _value(text)


def overridden_options(overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted key -> value of the options among the overrides; the choices of groups are not options."""
    return {k: v for k, v in map(split, overrides) if k not in GROUPS and "/" not in k}


def overridden_choices(overrides: Sequence[str]) -> dict[str, str]:
    """Group -> the name that one of the overrides chooses for it."""
    return {k: str(v) for k, v in map(split, overrides) if k in GROUPS and v is not None}


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return option(kind(text))
        except ValueError:
            pass
    plain = {"true": True, "false": False, "null": None}
    return plain.get(text.lower(), text.strip("'\""))
