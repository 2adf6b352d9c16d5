"""YAML from a file of any origin: plain values of bounded depth and size, or Damaged.

libyaml's composer is recursive (nested 200 000 deep it overflows the C stack), and an alias of an alias doubles the
number of values that a walk through it meets. Both show in the parser's events, before anything is composed.
"""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isogain.record.bounded import Damaged, text

DEPTH = 32  # of lists and mappings in each other
NODES = 50_000  # values, what aliases stand for counted each time
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C: ten times as fast
# numbers of YAML 1.1, with 1:30 for ninety: read in quadratic time, however long they are
NUMBER = re.compile(r"[-+.0-9][-+.0-9a-fA-FxobeE_:]*")
LONGEST = 40  # characters of a number


def yaml_value(path: Path) -> Any:
    """The value in a YAML file, None where it is empty; raises FileNotFoundError, and Damaged for unbounded YAML."""
    return parsed(text(path), path)


def yaml_config(path: Path) -> DictConfig | ListConfig:
    """A YAML file as OmegaConf reads it, interpolations unresolved; raises FileNotFoundError and Damaged."""
    content = text(path)
    _checked(content, path)
    try:
        return OmegaConf.load(io.StringIO(content))
    except (yaml.YAMLError, ValueError, OSError, OmegaConfBaseException) as error:
        raise Damaged(path, _reason(error)) from None


def parsed(whole: str, path: Path) -> Any:
    """The value of the YAML text `whole`, from the file at `path`; raises Damaged."""
    _checked(whole, path)
    try:
        return yaml.load(whole, LOADER)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise Damaged(path, _reason(error)) from None


def _checked(whole: str, path: Path) -> None:
    try:
        _check(yaml.parse(whole, LOADER))
    except (yaml.YAMLError, ValueError) as error:
        raise Damaged(path, _reason(error)) from None


def _check(events: Iterable[yaml.Event]) -> None:
    """Raise ValueError at the first event that exceeds a bound."""
    open_nodes: list[_Node] = [_Node(None, False)]
    sizes: dict[str, int] = {}  # of the values that have an anchor
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"the alias {event.anchor[:40]} stands for nothing that is whole")
            open_nodes[-1].add(None, sizes[event.anchor])
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            sizes |= {event.anchor: 1} if event.anchor else {}
            open_nodes[-1].add(event.value, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            if event.tag not in (None, "!"):
                raise ValueError(f"the tag {event.tag[:40]}, which is for code")
            sizes.pop(event.anchor or "", None)
            open_nodes.append(_Node(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(open_nodes) > DEPTH + 1:
                raise ValueError(f"nested more than {DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            node = open_nodes.pop()
            sizes |= {node.anchor: node.size} if node.anchor else {}
            open_nodes[-1].add(None, node.size)
        if open_nodes[-1].size > NODES:
            raise ValueError(f"more than {NODES:,} values, what aliases stand for included")


class _Node:
    """A list or mapping that is open: how many values it has, and, of a mapping, its keys so far."""

    def __init__(self, anchor: str | None, mapping: bool) -> None:
        self.anchor, self.size, self.children = anchor, 1, 0
        self.keys: set[str] | None = set() if mapping else None

    def add(self, scalar: str | None, size: int) -> None:
        self.size += size
        self.children += 1
        if self.keys is None or self.children % 2 == 0:
            return
        if scalar is not None and scalar in self.keys:
            raise ValueError(f"the key {scalar[:40]!r} is there twice")
        self.keys |= {scalar} - {None}


def _check_scalar(event: yaml.ScalarEvent) -> None:
    if event.tag not in (None, "!"):
        raise ValueError(f"the tag {event.tag[:40]}, which is for code")
    plain = event.implicit[0]
    if plain and len(event.value) > LONGEST and NUMBER.fullmatch(event.value):
        raise ValueError(f"a number of {len(event.value):,} characters")


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"no YAML from line {error.problem_mark.line + 1} on: {error.problem}"
    return (str(error) or type(error).__name__).splitlines()[0]
