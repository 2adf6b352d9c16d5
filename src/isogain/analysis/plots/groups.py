"""Runs grouped for panels and curves of figures, and their arrays of spectra.npz."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.plots.style import text, wrapped
from isogain.analysis.statistics.aggregate import check, grouped, label, others, seeds
from isogain.record.bounded import MIB, Damaged
from isogain.record.overrides_yaml import read_overrides, split
from isogain.record.run_status import Status
from isogain.record.spectra_events import Spectra, opened_spectra, spread

LARGE = 64 * MIB  # of arrays that a figure is drawn from: more events than it has pixels
HIDDEN = ("out", "logger", "callbacks", "trainer")  # overrides that no label needs


class Events(NamedTuple):
    """Steps (events,) and values (events, ...), the first axis after events that of examples of all runs."""

    steps: np.ndarray
    values: np.ndarray


def groups(table: pd.DataFrame, by: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Label -> the runs of one level of `by`.

    Without `by` every run is a group of its own, labelled by those of its overrides that not all runs share.
    """
    check(table, by)
    if by:
        return {label(by, levels): runs for levels, runs in grouped(table, by)}
    overrides_of = [training_overrides(Path(folder)) for folder in table["folder"]]
    shared = set.intersection(*map(set, overrides_of)) if len(overrides_of) > 1 else set()
    runs_of: dict[str, pd.DataFrame] = {}
    for i, overrides in enumerate(overrides_of):
        folder = table["folder"].iloc[i]
        name = " ".join(o for o in overrides if o not in shared) or "/".join(
            Path(folder).parts[-2:]
        )
        runs_of[name if name not in runs_of else f"{name} ({folder})"] = table.iloc[[i]]
    return runs_of


def training_overrides(folder: Path) -> list[str]:
    """A run's overrides, without those that do not change what is trained; [] where they cannot be read."""
    try:
        overrides = read_overrides(folder)
    except (FileNotFoundError, Damaged):  # reported in the run's row
        return []
    return [override for override in overrides if not split(override)[0].startswith(HIDDEN)]


def events_by_group(
    named: dict[str, pd.DataFrame], name: str
) -> tuple[dict[str, Events], dict[str, str]]:
    """Label -> the array `name` of its runs, and label -> why it has none. Raises KeyError where no group has it."""
    events_of, missing = {}, {}
    for title, runs in named.items():
        try:
            events_of[title] = events(runs["folder"], name)
        except KeyError as error:
            missing[title] = error.args[0]
    if not events_of:
        raise KeyError(next(iter(missing.values()), f"{name}: no run"))
    return events_of, missing


def draw_reason(axes: Any, reason: str) -> None:
    """Show in a panel the reason why nothing is drawn in it."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, wrapped(text(reason), 26), ha="center", va="center", transform=axes.transAxes
    )


def counted_label(name: str, runs: pd.DataFrame) -> str:
    """A group's label with the number of seeds, that of runs if it is larger, and the status of unfinished runs."""
    done = runs[runs["status"] == Status.FINISHED]
    n, bad = seeds(done).nunique(), others(runs.assign(there=0.0), "there")
    counts = [f"n={n}", *([f"{len(done)} runs"] if len(done) > n else []), *([bad] if bad else [])]
    return f"{name} ({', '.join(counts)})" if len(runs) > 1 or bad else name


def events(folders: Sequence[str | Path], name: str) -> Events:
    """The array `name` of all runs that have it, at the steps which they share, with the examples of all runs joined.

    Where this is more than LARGE bytes, only as many events are read as fit, the first and the last among them. Raises
    KeyError where no run has the array, ValueError where the runs share no step or differ in shape.
    """
    layouts, reasons = {}, []
    for folder in map(Path, folders):
        try:
            layouts[folder] = _layout(folder, name)
        except (ValueError, KeyError) as error:
            reasons.append(error.args[0])
    if not layouts:
        raise KeyError(reasons[0] if reasons else f"{name}: no run to read it from")
    shared = set.intersection(*(set(steps.tolist()) for steps, _, _ in layouts.values()))
    common = np.array(sorted(shared), dtype=int)
    if not len(common):
        raise ValueError(f"{name}: the runs of a group share no step at which it was measured")
    if len({shape[1:] for _, shape, _ in layouts.values()}) > 1:
        raise ValueError(f"{name}: the runs of a group differ in size; group by what differs")
    most = max(2, LARGE // max(sum(size for _, _, size in layouts.values()), 1))
    common = common[spread(len(common), most)]
    at = [_values(folder, name, common) for folder in layouts]
    return Events(common, np.concatenate(at, axis=1))


def _layout(folder: Path, name: str) -> tuple[np.ndarray, tuple[int, ...], int]:
    """The steps of one run's events, the shape of an event and its bytes; raises KeyError and ValueError."""
    with arrays_of(folder) as arrays:
        if name in arrays and 0 not in arrays.event_shape(name):
            arrays.check(name)
            return arrays.steps(name), arrays.event_shape(name), arrays.event_size(name)
    raise KeyError(f"{folder}: {name} was not measured")


def _values(folder: Path, name: str, steps: np.ndarray) -> np.ndarray:
    with arrays_of(folder) as arrays:
        return arrays.events(name, np.searchsorted(arrays.steps(name), steps))


@contextmanager
def arrays_of(folder: Path) -> Iterator[Spectra]:
    """The arrays of spectra.npz; KeyError where there is none, ValueError where it is damaged."""
    try:
        with opened_spectra(folder) as arrays:
            yield arrays
    except FileNotFoundError:
        raise KeyError(f"{folder}: no spectra.npz") from None
    except Damaged as error:
        raise ValueError(f"{folder}/{error}") from None


def edges(centres: np.ndarray, log: bool = False) -> np.ndarray:
    """Edges (n + 1,) of the cells around n increasing centres: half way between them, in the logarithm if `log`."""
    c = np.log(centres) if log else np.asarray(centres, dtype=float)
    if len(c) == 1:
        bounds = np.array([c[0] - 0.5, c[0] + 0.5])
    else:
        middle = (c[1:] + c[:-1]) / 2
        bounds = np.concatenate([[2 * c[0] - middle[0]], middle, [2 * c[-1] - middle[-1]]])
    return np.exp(bounds) if log else bounds


def axis_label(name: str) -> str:
    """A metric's name in the words of an axis label."""
    known = {
        "acc": "accuracy",
        "steps": "optimiser steps",
        "acc_best": "best accuracy",
    }
    head, _, last = name.rpartition("/")
    return f"{head} {known[last]}".strip() if last in known else name
