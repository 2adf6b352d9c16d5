"""What one run folder holds, as flat dicts; a broken file is a reason, never a traceback."""

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from isogain.record import bounded
from isogain.record.bounded import Damaged
from isogain.record.bounded_yaml import parsed
from isogain.record.config_yaml import GROUPS, Foreign, option, read_config
from isogain.record.run_status import Status
from isogain.record.summary_json import read_summary
from isogain.record.unfinished_status import unfinished_status

__all__ = ["GROUPS", "Foreign", "Run", "missing", "read", "read_overrides", "said_values", "split"]


# a list of words with a = in them, which YAML takes for nothing but text: ten times as fast as its parser
PLAIN = re.compile(r"(?:- [A-Za-z_+~][\w./@+~]*=[\w./+-]*\n)+", re.ASCII)


class Run(NamedTuple):
    """`status` is the summary's, or that of a run which has none (yet); `error` one line, "" where there is none.

    choices: group -> name. config: dotted key -> value, `whole` or only what the command line says. said: the keys
    on the command line, in order.
    """

    status: Status
    error: str
    choices: dict[str, str]
    config: dict[str, Any]
    summary: dict[str, Any]
    said: list[str]
    whole: bool


def read(folder: Path, ordered: list[str] | None = None) -> Run:
    """The run in `folder`, `ordered` the overrides that its sweep lists; raises Foreign."""
    reasons: list[str] = []
    config = _whole(lambda: read_config(folder), reasons)
    summary = _whole(lambda: read_summary(folder), reasons) or {}
    if reasons and not os.path.lexists(folder / "config.yaml"):
        raise Foreign(f"no config.yaml, and {reasons[0]}")
    overrides = _whole(lambda: read_overrides(folder), reasons)
    choices = _whole(lambda: _choices(folder / "choices.yaml"), reasons)
    overrides = ordered or [] if overrides is None else overrides
    groups, options = config or ({}, said_values(overrides))
    names = {**groups, **_chosen(overrides), **(choices or {})}
    status = Status.written(summary.get("status")) or unfinished_status(folder)
    error = "; ".join(reasons) or str(summary.get("error", ""))
    keys = [key for key, _ in map(split, overrides)]
    kept = {k: v for k, v in summary.items() if k not in ("status", "error")}
    status = Status.BROKEN if reasons else status
    return Run(status, error, names, options, kept, keys, bool(config))


def missing(overrides: list[str]) -> Run:
    """A run that a sweep lists and that has no folder."""
    keys = [key for key, _ in map(split, overrides)]
    return Run(Status.PENDING, "", _chosen(overrides), said_values(overrides), {}, keys, False)


def split(override: str) -> tuple[str, Any]:
    """`+optim.lr=1e-3` -> ("optim.lr", 0.001)."""
    key, _, text = override.lstrip("+~").partition("=")
    return key, _value(text)


def said_values(overrides: list[str]) -> dict[str, Any]:
    """The options among the overrides; groups' choices are no options."""
    return {k: v for k, v in map(split, overrides) if k not in GROUPS and "/" not in k}


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return option(kind(text))
        except ValueError:
            pass
    plain = {"true": True, "false": False, "null": None}
    return plain.get(text.lower(), text.strip("'\""))


def _chosen(overrides: list[str]) -> dict[str, str]:
    return {k: str(v) for k, v in map(split, overrides) if k in GROUPS and v is not None}


def _whole(read: Callable[[], Any], reasons: list[str]) -> Any:
    """What a file holds; None where it is not there, or where a reason why it cannot be read was added."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except Damaged as error:
        reasons.append(str(error))
        return None


def read_overrides(folder: Path) -> list[str]:
    """What a run's command line said; raises FileNotFoundError and Damaged."""
    path = folder / "overrides.yaml"
    whole = bounded.text(path)
    if PLAIN.fullmatch(whole):
        return [line[2:] for line in whole.splitlines()]
    found = parsed(whole, path)
    if found is not None and not isinstance(found, list):
        raise Damaged(path, "holds no list")
    if any(isinstance(override, list | dict) for override in found or []):
        raise Damaged(path, "holds more than a list of texts")
    return [str(override) for override in found or []]


def _choices(path: Path) -> dict[str, Any]:
    return _parsed_choices(bounded.text(path))


@lru_cache(maxsize=256)  # runs of a sweep share them
def _parsed_choices(whole: str) -> dict[str, Any]:
    path = Path("choices.yaml")
    found = parsed(whole, path)
    if not isinstance(found, dict):
        raise Damaged(path, "holds no keys")
    return {str(k): str(v) for k, v in found.items() if v is not None}
