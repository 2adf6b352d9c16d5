"""What a single layer or time step does to the signal's gradient, over training."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.jacobian import EDGES, spread
from isogain.callbacks.path import Path, widths
from isogain.callbacks.probe_batch import Probe
from isogain.callbacks.subject import subject
from isogain.config.ranges import at_least
from isogain.diagnostics.jacobian import factor_spectra, input_norms
from isogain.models.base import Network
from isogain.record.logger import Spectrum, record


class FactorSpectrum(Diagnostic):
    """Every `every`, on the first `examples` validation examples: `factors/spectrum`, the singular values of
    ∂h_{l+1}/∂h_l at `places` + 1 layers or time steps l, which are in `factors/places`.

    Of recurrent networks `inputs/log_norm` too: log ‖∂h_T/∂x_t‖ at every t. As scalars `factors/log_max`, `log_min`
    and `log_volume`, the mean log of all values, and `inputs/log_first` and `log_last`, means over examples.
    The other options are those of `JacobianSpectrum`; with widths that differ NaN fills up the array.
    """

    def __init__(
        self,
        every: int | str = 500,
        examples: int = 8,
        places: int = 4,
        at_start: bool = True,
        along: str | Sequence[str] | None = None,
        over: Literal["time"] | None = None,
        from_input: bool = False,
        net: str | None = None,
        probe: Any = None,
        inputs: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(every, at_start, net)
        self.probe = Probe(examples, probe, inputs)
        self.path = Path(along, over, from_input)
        self.places = int(at_least("places", places, 0))

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        who = subject(module, self)
        x, _ = who.batch(trainer, self.probe)
        net = self.path.of(who)
        sizes = widths(net, x)
        places = spread(self.places, len(sizes) - 1)
        logs = factor_spectra(net, x, places).cpu().numpy()
        values = logs if len(set(sizes)) == 1 else logs[~np.isnan(logs)]
        scalars = {
            "factors/log_max": values.max(),
            "factors/log_min": values.min(),
            "factors/log_volume": values.mean(),
        }
        spectra = {
            "factors/spectrum": Spectrum(np.exp(logs), EDGES, ("example", "place", "value")),
            "factors/places": Spectrum(np.array(places), axes=("place",)),
        }
        if isinstance(net, Network) and net.sequential:
            norms = input_norms(net, x).numpy()
            scalars |= {
                "inputs/log_first": norms[:, 0].mean(),
                "inputs/log_last": norms[:, -1].mean(),
            }
            spectra["inputs/log_norm"] = Spectrum(norms, axes=("example", "time"))
        record(trainer, {k: float(v) for k, v in scalars.items() if np.isfinite(v)}, spectra)
