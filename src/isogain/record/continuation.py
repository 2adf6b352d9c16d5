"""Whether a config may continue the run in a folder, decided before anything is built or touched."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from isogain.config.errors import AnotherRun
from isogain.record import identity
from isogain.record.bounded import Damaged
from isogain.record.bounded_yaml import yaml_value
from isogain.record.config_difference import Difference, in_words
from isogain.record.summary_json import read_summary

log = logging.getLogger(__name__)


class Continuation(NamedTuple):
    """`summary`: of a run that is over, None where steps are left. `remarks`: allowed differences, a line each."""

    summary: dict[str, Any] | None
    remarks: list[str]


def continuation(
    folder: Path, config: DictConfig, listed: Mapping[str, Any] | None = None
) -> Continuation:
    """How the run that `config` describes continues the one in `folder`, which may be empty or absent.

    Where no run has begun, `config` is compared with the config that is `listed` for the folder, if any. Raises
    AnotherRun, one line with the keys and both values, where it may not continue.
    """
    there = described(folder) or listed
    if there is None:
        return Continuation(None, [])
    here = OmegaConf.to_container(config, resolve=True)
    compared, summary = identity.differences(there, here), outcome(folder)
    if conflicts := without_derived(compared.conflicts, config):
        words = in_words(conflicts)
        raise AnotherRun(f"out={folder}: holds another run: {words}; {way_on(folder)}", words)
    if compared.limits and (passed := identity.beyond(here, summary)):
        raise AnotherRun(f"out={folder}: {passed}; raise it, or {way_on(folder)}", passed)
    over = identity.is_over(compared.limits, here, summary)
    return Continuation(summary if over else None, remarks(compared, here))


def outcome_already(folder: Path, config: DictConfig) -> dict[str, Any] | None:
    """The summary of a run in `folder` that has nothing left to do, else None; what differs is logged.

    Raises AnotherRun.
    """
    summary, lines = continuation(folder, config)
    for line in lines:
        log.info("%s: %s", folder, line)
    if summary is not None:
        log.info("%s: %s already", folder, summary["status"])
    return summary


def described(folder: Path) -> dict[str, Any] | None:
    """The config of the run in `folder`; None where none has begun.

    Raises AnotherRun where it cannot be read though there are checkpoints: they may be of any run.
    """
    try:
        config = yaml_value(folder / "config.yaml")
        if isinstance(config, Mapping):
            return dict(config)
        reason = "config.yaml: holds no keys"
    except FileNotFoundError:
        reason = "config.yaml: no such file"
    except Damaged as error:
        reason = str(error)
    if any((folder / "checkpoints").glob("*.ckpt")):
        raise AnotherRun(
            f"out={folder}: of which run its checkpoints are is not known ({reason}); {way_on(folder)}"
        )
    return None


def outcome(folder: Path) -> dict[str, Any]:
    """The run's summary, {} where there is none that can be read."""
    try:
        return read_summary(folder)
    except (FileNotFoundError, Damaged):
        return {}


def without_derived(differences: list[Difference], config: DictConfig) -> list[Difference]:
    """The differences whose value is not interpolated from another key of `config`; all of them, where all are."""
    derived = set(_derived(OmegaConf.to_container(config), ""))
    return [d for d in differences if d.key not in derived] or differences


def remarks(compared: identity.Differences, here: Mapping[str, Any]) -> list[str]:
    """A line for the limits that differ, and one for the other differences, which change no step."""
    lines = []
    if compared.limits:
        lines.append(
            "; ".join([in_words(compared.limits), *filter(None, [identity.schedules(here)])])
        )
    if compared.others:
        lines.append(f"differs, and changes no step: {in_words(compared.others)}")
    return lines


def way_on(folder: Path) -> str:
    """How to proceed instead, in words."""
    for name in ("last", "best"):
        if (path := folder / "checkpoints" / f"{name}.ckpt").exists():
            return f"choose another out=, there with ckpt={path} to begin anew from its weights"
    return "choose another out="


def _derived(node: Any, path: str) -> Iterator[str]:
    """The dotted keys whose value is an interpolation."""
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _derived(child, f"{path}.{key}".lstrip("."))
    elif isinstance(node, str) and node.startswith("${"):
        yield path
