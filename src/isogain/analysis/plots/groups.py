"""What figures need of runs: panels and curves by group, and arrays out of spectra.npz."""

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
from isogain.record.spectra_events import Spectra, opened_spectra, spread

LARGE = 64 * MIB  # of arrays that a figure is drawn from: more events than it has pixels
HIDDEN = ("out", "logger", "callbacks", "trainer")  # overrides that no label needs


class Events(NamedTuple):
    """Steps (events,) and values (events, ...), the first axis after events that of examples of all runs."""

    steps: np.ndarray
    values: np.ndarray


def groups(table: pd.DataFrame, by: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Label -> the runs of a level; without `by` a group a run, labelled by what its command line alone says."""
    check(table, by)
    if by:
        return {label(by, levels): runs for levels, runs in grouped(table, by)}
    said = [said_by(Path(folder)) for folder in table["folder"]]
    shared = set.intersection(*map(set, said)) if len(said) > 1 else set()
    found: dict[str, pd.DataFrame] = {}
    for i, overrides in enumerate(said):
        folder = table["folder"].iloc[i]
        name = " ".join(o for o in overrides if o not in shared) or "/".join(
            Path(folder).parts[-2:]
        )
        found[name if name not in found else f"{name} ({folder})"] = table.iloc[[i]]
    return found


def said_by(folder: Path) -> list[str]:
    """A run's overrides, but those that change nothing that is trained."""
    try:
        said = read_overrides(folder)
    except (FileNotFoundError, Damaged):  # told in the run's row
        return []
    return [override for override in said if not split(override)[0].startswith(HIDDEN)]


def measured(named: dict[str, pd.DataFrame], name: str) -> tuple[dict[str, Events], dict[str, str]]:
    """Label -> the array of its runs, and label -> why there is none. Raises KeyError where there is none at all."""
    found, missing = {}, {}
    for title, runs in named.items():
        try:
            found[title] = events(runs["folder"], name)
        except KeyError as error:
            missing[title] = error.args[0]
    if not found:
        raise KeyError(next(iter(missing.values()), f"{name}: no run"))
    return found, missing


def empty(axes: Any, why: str) -> None:
    """A panel that says why nothing is drawn in it."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, wrapped(text(why), 26), ha="center", va="center", transform=axes.transAxes)


def counted(name: str, runs: pd.DataFrame) -> str:
    """A group's label, with the number of seeds (and of runs, if there are more) and what became of other runs."""
    done = runs[runs["status"] == "finished"]
    n, bad = seeds(done).nunique(), others(runs.assign(there=0.0), "there")
    told = [f"n={n}", *([f"{len(done)} runs"] if len(done) > n else []), *([bad] if bad else [])]
    return f"{name} ({', '.join(told)})" if len(runs) > 1 or bad else name


def events(folders: Sequence[str | Path], name: str) -> Events:
    """The array `name` of all runs that have it, at the steps which they share: examples of all runs together.

    Of more than LARGE bytes as many events as fit, the first and the last among them. Raises KeyError where no run has
    it, ValueError where they share no step or differ in shape.
    """
    found, reasons = {}, []
    for folder in map(Path, folders):
        try:
            found[folder] = _layout(folder, name)
        except (ValueError, KeyError) as error:
            reasons.append(error.args[0])
    if not found:
        raise KeyError(reasons[0] if reasons else f"{name}: no run to read it from")
    shared = set.intersection(*(set(steps.tolist()) for steps, _, _ in found.values()))
    common = np.array(sorted(shared), dtype=int)
    if not len(common):
        raise ValueError(f"{name}: the runs of a group share no step at which it was measured")
    if len({shape[1:] for _, shape, _ in found.values()}) > 1:
        raise ValueError(f"{name}: the runs of a group differ in size; group by what differs")
    most = max(2, LARGE // max(sum(size for _, _, size in found.values()), 1))
    common = common[spread(len(common), most)]
    at = [_values(folder, name, common) for folder in found]
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
    """Edges of the cells around increasing centres: half way between them."""
    c = np.log(centres) if log else np.asarray(centres, dtype=float)
    if len(c) == 1:
        found = np.array([c[0] - 0.5, c[0] + 0.5])
    else:
        middle = (c[1:] + c[:-1]) / 2
        found = np.concatenate([[2 * c[0] - middle[0]], middle, [2 * c[-1] - middle[-1]]])
    return np.exp(found) if log else found


def axis_label(name: str) -> str:
    """A metric's name as it is read, with its unit."""
    known = {
        "acc": "accuracy",
        "steps": "optimiser steps",
        "acc_best": "best accuracy",
    }
    head, _, last = name.rpartition("/")
    return f"{head} {known[last]}".strip() if last in known else name
