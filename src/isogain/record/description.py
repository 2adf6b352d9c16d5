"""What one run folder holds, as flat dicts; a broken file is a reason, never a traceback."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from isogain.record.unfinished import unfinished_status

GROUPS = ("model", "init", "reg", "data", "optim", "experiment")
OURS = "isogain."  # the root `_target_` of a config that isogain wrote starts with it
STATUSES = {"finished", "diverged", "interrupted", "failed"}


class Foreign(ValueError):
    """A folder that isogain did not write."""


class Run(NamedTuple):
    """`status` is the summary's, or that of a run which has none (yet); `error` one line, "" where there is none.

    choices: group -> name. config: dotted key -> value, `whole` or only what the command line says. said: the keys
    on the command line, in order.
    """

    status: str
    error: str
    choices: dict[str, str]
    config: dict[str, Any]
    summary: dict[str, Any]
    said: list[str]
    whole: bool


def read(folder: Path, ordered: list[str] | None = None) -> Run:
    """The run in `folder`, `ordered` the overrides that its sweep lists; raises Foreign."""
    reasons: list[str] = []
    config = _whole(folder / "config.yaml", _config, reasons)
    summary = _whole(folder / "summary.json", _summary, reasons)
    if reasons and not (folder / "config.yaml").exists():
        raise Foreign(f"no config.yaml, and {reasons[0]}")
    overrides = _whole(folder / "overrides.yaml", _overrides, reasons)
    choices = _whole(folder / "choices.yaml", _mapping, reasons)
    overrides = ordered or [] if overrides is None else overrides
    names = {**_classes(config or {}), **_chosen(overrides), **(choices or {})}
    flat = dict(flattened(config)) if config else said_values(overrides)
    status = "broken" if reasons else (summary or {}).get("status") or unfinished_status(folder)
    error = "; ".join(reasons) or str((summary or {}).get("error", ""))
    keys = [key for key, _ in map(split, overrides)]
    kept = {k: v for k, v in (summary or {}).items() if k not in ("status", "error")}
    return Run(str(status), error, names, flat, kept, keys, bool(config))


def missing(overrides: list[str]) -> Run:
    """A run that a sweep lists and that has no folder."""
    keys = [key for key, _ in map(split, overrides)]
    return Run("pending", "", _chosen(overrides), said_values(overrides), {}, keys, False)


def flattened(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and plain values; what only says how to build (`_target_`, …) is left out, lists are text."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{path}{key}.")
        elif not str(key).startswith("_"):
            yield f"{path}{key}", str(value) if isinstance(value, list) else value


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
            return kind(text)
        except ValueError:
            pass
    plain = {"true": True, "false": False, "null": None}
    return plain.get(text.lower(), text.strip("'\""))


def _chosen(overrides: list[str]) -> dict[str, str]:
    return {k: str(v) for k, v in map(split, overrides) if k in GROUPS and v is not None}


def _classes(config: Mapping[str, Any]) -> dict[str, str]:
    """For a run that does not say its choices: the class or function that each group builds."""
    targets = {g: config[g].get("_target_") for g in GROUPS if isinstance(config.get(g), Mapping)}
    return {group: str(t).rpartition(".")[2].rstrip("_") for group, t in targets.items() if t}


def _whole(path: Path, parse: Any, reasons: list[str]) -> Any:
    """What is in the file; None where it is not there, or where a reason why it cannot be read was added."""
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        return None
    except Foreign:
        raise
    except OSError as error:
        reasons.append(f"{path.name}: {error.strerror}")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reasons.append(f"{path.name}: {_first_line(error)}")
    return None


def _first_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"no YAML from line {error.problem_mark.line + 1} on: {error.problem}"
    return (str(error) or type(error).__name__).splitlines()[0]


def _summary(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("holds no JSON object")
    if found.get("status") not in STATUSES:
        raise ValueError("has no status that a run writes")
    return {k: v for k, v in found.items() if not isinstance(v, dict | list)}


def _overrides(text: str) -> list[str]:
    found = _yaml(text)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError("holds no list")
    return [str(o) for o in found]


def _mapping(text: str) -> dict[str, Any]:
    found = _yaml(text)
    if not isinstance(found, dict):
        raise ValueError("holds no keys")
    return {str(k): str(v) for k, v in found.items() if v is not None}


def _config(text: str) -> dict[str, Any]:
    """A config of isogain's. Its top-level blocks are parsed one by one, each text once: runs share most of them."""
    if not text.strip():
        raise ValueError("is empty: the run was cut off as it began")
    try:
        config = {k: v for block in _blocks(text) for k, v in _block(block).items()}
    except (yaml.YAMLError, AttributeError):
        config = _yaml(text)  # not laid out in blocks, or broken: the whole file says where
    if not isinstance(config, dict):
        raise Foreign("config.yaml holds no keys")
    if not str(config.get("_target_", "")).startswith(OURS):
        raise Foreign("config.yaml is not one of isogain's")
    return config


def _blocks(text: str) -> Iterator[str]:
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        if block and not line[0].isspace():
            yield "".join(block)
            block = []
        block.append(line)
    yield "".join(block)


@lru_cache(maxsize=4096)
def _block(text: str) -> dict[str, Any]:
    return _yaml(text) or {}


def _yaml(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # C: ten times as fast
