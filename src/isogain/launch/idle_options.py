"""Options of the command line that the rest of a config leaves without effect: refused, and not put on record."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from isogain.data.task import Task
from isogain.launch.idle_reasons import IDLE
from isogain.record.config_yaml import flattened


def given(overrides: Collection[str]) -> list[str]:
    """The keys of which these overrides set a value, those of a dict one by one; in their order, each once."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    keys = []
    for override in parsed:
        if override.is_delete():
            continue
        key, value = override.get_key_element().lstrip("+"), None
        if not override.is_sweep_override():
            value = override.value()
        keys += (
            [f"{key}.{name}" for name, _ in flattened(value)] if isinstance(value, dict) else [key]
        )
    return list(dict.fromkeys(keys))


def reasons(config: Mapping[str, Any], keys: Collection[str], data: Task) -> dict[str, str]:
    """Of `keys`, which the command line gives, those that do nothing in `config`, resolved, with the reason."""
    reasons = {key: IDLE[key](config, data) for key in keys if key in IDLE}
    return {key: why for key, why in reasons.items() if why}


def refusals(config: Mapping[str, Any], overrides: Collection[str], data: Task) -> Iterator[str]:
    """A line for each option of a run's command line that would have no effect; `data` is built, and not loaded."""
    for key, why in reasons(config, given(overrides), data).items():
        yield f"{key}: has no effect: {why}"


class OfPoints:
    """The same of a sweep: an option that acts on one point is none of these."""

    def __init__(self) -> None:
        self._idle: dict[str, tuple[int, str]] = {}  # key -> the first point it is idle in, and why
        self._acting: set[str] = set()

    def add(
        self, number: int, config: Mapping[str, Any], overrides: Collection[str], data: Task
    ) -> None:
        keys = [key for key in given(overrides) if key in IDLE and key not in self._acting]
        why = reasons(config, keys, data)
        self._acting |= {key for key in keys if key not in why}
        for key, reason in why.items():
            self._idle.setdefault(key, (number, reason))

    def refusals(self) -> Iterator[tuple[int, str]]:
        """(number of a point, line) for every option that acts on none."""
        for key, (number, why) in self._idle.items():
            if key not in self._acting:
                yield number, f"{key}: has no effect: {why}"
