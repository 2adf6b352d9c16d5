"""Histograms for loggers that are not ours, which are known by what they offer: TensorBoard's and W&B's.

Values may have any axes; `edges` are those of the bins.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from isogain.record.logger import Spectrum


def add_histograms(logger: Any, spectra: Mapping[str, "Spectrum"], step: int) -> None:
    """Hand spectra that have edges to a logger whose experiment has `add_histogram`, as TensorBoard's does."""
    add = getattr(getattr(logger, "experiment", None), "add_histogram", None)
    if not callable(add):
        return
    for name, values, edges in _binned(spectra):
        add(name, values, global_step=step, bins=edges)


def wandb_histograms(logger: Any, spectra: Mapping[str, "Spectrum"]) -> dict[str, Any]:
    """Spectra that have edges as histograms of W&B, by name; none where the logger's experiment is not W&B's."""
    experiment = type(getattr(logger, "experiment", None))
    if experiment.__module__.partition(".")[0] != "wandb":
        return {}
    import wandb

    return {
        name: wandb.Histogram(np_histogram=np.histogram(values, edges))
        for name, values, edges in _binned(spectra)
    }


def _binned(spectra: Mapping[str, "Spectrum"]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, numbers and edges; what is beyond the outermost edges is moved to them, NaN is left out."""
    binned = []
    for name, spectrum in spectra.items():
        edges, values = spectrum.edges, spectrum.values
        if edges is not None and not np.isnan(values).all():
            within = np.clip(values[~np.isnan(values)], edges[0], edges[-1])
            binned.append((name, within, edges))
    return binned
