"""Figures of a spectra.npz for the page: histograms over training, and the signal's gradient layer by layer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isogain.record.panels import PROFILE, SPECTRA
from isogain.record.spectra_events import Spectra, opened_spectra, spread

FLOOR = 1e-12  # the least singular value that is drawn: float64 cannot resolve smaller ones
LOGS = {"jacobian/log_spectrum", "jacobian/by_start"}  # logarithms of what jacobian/spectrum holds
BINS, EVENTS, PLACES = 40, 60, 64  # at most, of a picture
PICTURES = 24  # at most, of a run


def heat_maps(folder: Path) -> dict[str, dict[str, Any]]:
    """For each spectrum in the file its steps, the edges of its bins and, by event, the share of values in each.

    Raises FileNotFoundError and Damaged.
    """
    with opened_spectra(folder) as arrays:
        names = list(_spectrum_names(arrays))[:PICTURES]
        return {name: _heat_map(arrays, name) for name in names}


def profile(folder: Path, most: int = EVENTS) -> dict[str, Any] | None:
    """The mean ln ‖∂loss/∂h_l‖ over examples at `places` l, by event: steps, places, last place and values.

    At most `most` events are read, the first and the last among them; None where it was not measured. Raises
    FileNotFoundError and Damaged.
    """
    with opened_spectra(folder) as arrays, np.errstate(invalid="ignore", over="ignore"):
        for name in filter(arrays.__contains__, SPECTRA):
            arrays.check(name)  # so that damage is reported in the run's row
        if PROFILE not in arrays or 0 in arrays.event_shape(PROFILE):
            return None
        steps = arrays.steps(PROFILE)
        events = spread(len(steps), most)
        _, last = arrays.event_shape(PROFILE)  # examples, and places
        places = spread(last, PLACES)
        means = [arrays.events(PROFILE, [k])[0].mean(axis=0, dtype=float) for k in events]
        return {
            "steps": steps[events].tolist(),
            "places": places.tolist(),
            "length": last - 1,
            "values": finite(np.stack(means)[:, places]),
        }


def finite(values: np.ndarray) -> list:
    """Nested lists, six digits a number; None where it is not finite."""
    if values.ndim > 1:
        return [finite(row) for row in values]
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values.tolist()]


def _spectrum_names(arrays: Spectra) -> Iterator[str]:
    for name in arrays.names:
        is_spectrum = arrays.axes(name)[-1:] == ["value"]
        if (
            is_spectrum
            and 0 not in arrays.event_shape(name)
            and not name.startswith("theory/")
            and name not in LOGS
        ):
            yield name


def _heat_map(arrays: Spectra, name: str) -> dict[str, Any]:
    steps = arrays.steps(name)
    events = spread(len(steps), EVENTS)
    ends = [_range(arrays.events(name, [k])) for k in events]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if high < 1.01 * low:
        low, high = low / 1.1, high * 1.1
    edges = np.geomspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # rounding must not put the extremes outside
    counts = [np.histogram(_floored(arrays.events(name, [k])), edges)[0] for k in events]
    shares = [count / count.sum() for count in counts]
    return {
        "steps": steps[events].tolist(),
        "edges": finite(edges),
        "shares": finite(np.array(shares)),
    }


def _floored(values: np.ndarray) -> np.ndarray:
    flat = values.ravel().astype(float)
    flat = flat[~np.isnan(flat)]  # of examples that could not be resolved
    return np.where(np.isfinite(flat), np.maximum(flat, FLOOR), FLOOR)


def _range(values: np.ndarray) -> tuple[float, float]:
    flat = _floored(values)
    return float(flat.min()), float(flat.max())
