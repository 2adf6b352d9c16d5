"""One run folder as flat dicts, a row of the table of runs; a damaged file is a reason, never a traceback."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isogain.record.bounded import Damaged
from isogain.record.choices_yaml import read_choices
from isogain.record.config_yaml import Foreign, read_config
from isogain.record.overrides_yaml import (
    overridden_choices,
    overridden_options,
    read_overrides,
    split,
)
from isogain.record.run_status import Status
from isogain.record.summary_json import read_summary
from isogain.record.unfinished_status import unfinished_status


class Run(NamedTuple):
    """`status` is the summary's, or that of a run which has none (yet); `error` one line, "" where there is none.

    choices: group -> name. config: dotted key -> value, all options if `whole`, else those on the command line.
    overridden: the keys on the command line, in order.
    """

    status: Status
    error: str
    choices: dict[str, str]
    config: dict[str, Any]
    summary: dict[str, Any]
    overridden: list[str]
    whole: bool


def read_run(folder: Path, listed: list[str] | None = None) -> Run:
    """The run in `folder`; `listed` are the overrides that its sweep lists for it. Raises Foreign."""
    reasons: list[str] = []
    config = _whole(lambda: read_config(folder), reasons)
    summary = _whole(lambda: read_summary(folder), reasons) or {}
    if reasons and not os.path.lexists(folder / "config.yaml"):
        raise Foreign(f"no config.yaml, and {reasons[0]}")
    overrides = _whole(lambda: read_overrides(folder), reasons)
    choices = _whole(lambda: read_choices(folder), reasons)
    overrides = listed or [] if overrides is None else overrides
    groups, options = config or ({}, overridden_options(overrides))
    names = {**groups, **overridden_choices(overrides), **(choices or {})}
    status = Status.written(summary.get("status")) or unfinished_status(folder)
    error = "; ".join(reasons) or str(summary.get("error", ""))
    kept = {k: v for k, v in summary.items() if k not in ("status", "error")}
    status = Status.BROKEN if reasons else status
    return Run(status, error, names, options, kept, _keys(overrides), bool(config))


def unstarted_run(overrides: Sequence[str]) -> Run:
    """A run that a sweep lists with these overrides, and that has no folder yet."""
    choices, options = overridden_choices(overrides), overridden_options(overrides)
    return Run(Status.PENDING, "", choices, options, {}, _keys(overrides), False)


def _keys(overrides: Sequence[str]) -> list[str]:
    return [key for key, _ in map(split, overrides)]


def _whole(read: Callable[[], Any], reasons: list[str]) -> Any:
    """The content of a file; None where it does not exist, and where it cannot be read: then `reasons` grows by one."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except Damaged as error:
        reasons.append(str(error))
        return None
