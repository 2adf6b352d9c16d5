"""What a page shows of a spectra.npz: histograms over training, and the signal's gradient layer by layer."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isogain.record.panels import PROFILE

FLOOR = 1e-12  # the least singular value told apart: below lie those that float64 could not resolve
LOGS = {"jacobian/log_spectrum", "jacobian/by_start"}  # of what jacobian/spectrum shows
BINS, EVENTS, PLACES = 40, 60, 64  # at most, of a picture
BROKEN = (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile, zlib.error)


def heat_maps(path: Path) -> dict[str, dict[str, Any]]:
    """For each spectrum in the file its steps, the edges of its bins and, by event, the share of values in each.

    Raises one of BROKEN.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: _heat_map(arrays[name], arrays[f"{name}/step"]) for name in _spectra(arrays)}


def profile(path: Path) -> dict[str, Any] | None:
    """The mean ln ‖∂loss/∂h_l‖ over examples at `places` l, by event: steps, places, last place and values.

    None where it was not measured. Raises one of BROKEN.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        if PROFILE not in arrays.files:
            return None
        logs, steps = arrays[PROFILE].mean(axis=1), arrays[f"{PROFILE}/step"]
    events, places = spread(len(logs), EVENTS), spread(logs.shape[1], PLACES)
    return {
        "steps": steps[events].tolist(),
        "places": places.tolist(),
        "length": logs.shape[1] - 1,
        "values": finite(logs[np.ix_(events, places)]),
    }


def finite(values: np.ndarray) -> list:
    """Nested lists, six digits a number; None where it is not finite."""
    if values.ndim > 1:
        return [finite(row) for row in values]
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values.tolist()]


def spread(length: int, most: int) -> np.ndarray:
    """At most `most` indices below `length`, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int))


def _spectra(arrays: Any) -> Iterator[str]:
    for name in arrays.files:
        axes = arrays[f"{name}/axes"].tolist() if f"{name}/axes" in arrays.files else []
        if axes[-1:] == ["value"] and not name.startswith("theory/") and name not in LOGS:
            yield name


def _heat_map(values: np.ndarray, steps: np.ndarray) -> dict[str, Any]:
    events = spread(len(values), EVENTS)
    flat = values[events].reshape(len(events), -1).astype(float)
    flat = np.where(np.isfinite(flat), np.maximum(flat, FLOOR), FLOOR)
    low, high = flat.min(), flat.max()
    if high < 1.01 * low:
        low, high = low / 1.1, high * 1.1
    edges = np.geomspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # rounding must not put the extremes outside
    shares = [np.histogram(row, edges)[0] / flat.shape[1] for row in flat]
    return {
        "steps": steps[events].tolist(),
        "edges": finite(edges),
        "shares": finite(np.array(shares)),
    }
