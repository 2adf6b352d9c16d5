"""A run's histograms over time as images, for W&B: an event a column, a bin a row."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isogain.record.bounded import Damaged
from isogain.record.logger import Spectrum
from isogain.record.spectra_events import opened_spectra

log = logging.getLogger(__name__)


def event_counts(folder: Path, edges: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of each array in spectra.npz that has edges, the histogram of every event; (events, bins)."""
    try:
        with opened_spectra(folder) as arrays:
            return {
                name: np.array(
                    [
                        np.histogram(clipped(Spectrum(arrays.events(name, [k]), e)), e)[0]
                        for k in range(len(arrays.steps(name)))
                    ]
                )
                for name, e in edges.items()
            }
    except FileNotFoundError:
        return {}
    except Damaged as error:
        log.warning("no heat maps at W&B: %s", error)
        return {}


def clipped(spectrum: Spectrum) -> np.ndarray:
    """The values, those beyond the outermost edges moved into the outermost bins."""
    return np.clip(spectrum.values, spectrum.edges[0], spectrum.edges[-1]).ravel()


def heat_map(counts: np.ndarray, pixels: int = 4) -> np.ndarray:
    """Counts (events, bins) as grey levels 0 … 255: bins·pixels rows, the last bin on top, a column an event.

    The square root of the share of the fullest bin: rare values are seen too.
    """
    shares = np.sqrt(counts / counts.max(axis=1, keepdims=True).clip(1))
    return np.kron(255 * shares.T[::-1], np.ones((pixels, pixels))).astype(np.uint8)
