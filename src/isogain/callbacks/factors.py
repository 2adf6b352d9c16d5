"""What a single layer or time step does to the signal's gradient, over training."""

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic, probe
from isogain.callbacks.jacobian import EDGES, spread, steps
from isogain.config.ranges import at_least
from isogain.diagnostics.jacobian import factor_spectra, input_norms
from isogain.record.logger import Spectrum, record
from isogain.training.learner import Learner


class FactorSpectrum(Diagnostic):
    """Every `every`, on the first `examples` validation examples: `factors/spectrum`, the singular values of
    ∂h_{l+1}/∂h_l at `places` + 1 layers or time steps l, which are in `factors/places`.

    Of recurrent networks `inputs/log_norm` too: log ‖∂h_T/∂x_t‖ at every t. As scalars `factors/log_max`, `log_min`
    and `log_volume`, the mean log of all values, and `inputs/log_first` and `log_last`, means over examples.
    """

    def __init__(
        self, every: int | str = 500, examples: int = 8, places: int = 4, at_start: bool = True
    ) -> None:
        super().__init__(every, at_start)
        self.examples = int(at_least("examples", examples, 1))
        self.places = int(at_least("places", places, 0))

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        x, _ = probe(trainer, learner, self.examples)
        places = spread(self.places, steps(learner.net, x))
        logs = factor_spectra(learner.net, x, places).cpu().numpy()
        scalars = {
            "factors/log_max": logs.max(),
            "factors/log_min": logs.min(),
            "factors/log_volume": logs.mean(),
        }
        spectra = {
            "factors/spectrum": Spectrum(np.exp(logs), EDGES, ("example", "place", "value")),
            "factors/places": Spectrum(np.array(places), axes=("place",)),
        }
        if learner.net.sequential:
            norms = input_norms(learner.net, x).numpy()
            scalars |= {
                "inputs/log_first": norms[:, 0].mean(),
                "inputs/log_last": norms[:, -1].mean(),
            }
            spectra["inputs/log_norm"] = Spectrum(norms, axes=("example", "time"))
        record(trainer, {k: float(v) for k, v in scalars.items() if np.isfinite(v)}, spectra)
