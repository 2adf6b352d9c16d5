"""Where run folders are, and what a sweep lists that is not there yet."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MARKS = {"config.yaml", "summary.json", "attempts.jsonl"}  # a run folder has one of them
TRACES = {"metrics.csv", "overrides.yaml", "spectra.npz", "checkpoints"}
NOT_RUNS = {"checkpoints", "wandb", "__pycache__", "node_modules"}


class Found(NamedTuple):
    """Run folders in order; what sweeps ordered: folder -> overrides; and what is wrong with others: folder -> why."""

    folders: list[Path]
    ordered: dict[Path, list[str]]
    skipped: dict[str, str]


def find(roots: Sequence[Path]) -> Found:
    """Every run folder at or below `roots`, each once; raises FileNotFoundError or NotADirectoryError for a root."""
    found, seen = Found([], {}, {}), set()
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(f"{root}: no such folder")
        if not root.is_dir():
            raise NotADirectoryError(f"{root}: not a folder")
        _walk(root, found, seen)
    return found


def _walk(folder: Path, found: Found, seen: set[tuple[int, int]]) -> None:
    """Look into `folder` and below, not below a run folder; links are followed, once."""
    try:
        stat = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: _natural(entry.name))
    except OSError as error:
        found.skipped[str(folder)] = f"cannot be read ({error.strerror})"
        return
    if (place := (stat.st_dev, stat.st_ino)) in seen:
        return
    seen.add(place)
    names = {entry.name for entry in entries}
    if names & MARKS:
        found.folders.append(folder)
        return
    if names & TRACES:
        there = ", ".join(sorted(names & TRACES))
        found.skipped[str(folder)] = f"no config.yaml, only {there}: half a run, or none"
        return
    if "sweep.json" in names:
        _order(folder, found)
    for entry in entries:
        if not entry.name.startswith(".") and entry.name not in NOT_RUNS and _is_dir(entry):
            _walk(folder / entry.name, found, seen)


def _order(sweep: Path, found: Found) -> None:
    try:
        points = json.loads((sweep / "sweep.json").read_text())["points"]
        ordered = {sweep / p["folder"]: [str(o) for o in p["overrides"]] for p in points}
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.skipped[str(sweep / "sweep.json")] = (
            f"missing runs cannot be counted: {type(error).__name__}: {error}"
        )
    else:
        found.ordered.update(ordered)


def _natural(name: str) -> tuple[int, str]:
    """A key that sorts 2 before 10."""
    return (int(name), "") if name.isdecimal() else (-1, name)


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere, or round in a circle
        return False
