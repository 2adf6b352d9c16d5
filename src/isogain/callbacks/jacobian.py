"""Singular values of the input-output Jacobian ∂h_L/∂h_0 over training."""

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic
from isogain.diagnostics.jacobian import jacobian_spectrum
from isogain.learner import Learner
from isogain.ranges import at_least
from isogain.record import Spectrum, record

EDGES = np.geomspace(1e-6, 1e3, 65)  # 64 bins, an equal ratio each
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class JacobianSpectrum(Diagnostic):
    """Every `every` steps, on the first `examples` validation examples: the same all through a run.

    Logs all singular values s as `jacobian/spectrum`, and of them `jacobian/...`: quantiles `q05` …
    `q95`, `mean_square` (χ^L in mean-field theory), `log_max` and `log_min` (natural), `condition`,
    the median over examples of s_max/s_min. Values that float64 cannot resolve are 0 in the
    spectrum and make `log_min` and `condition` absent; `resolved` is the share of the others.
    """

    def __init__(self, every: int = 500, examples: int = 8) -> None:
        super().__init__(every)
        self.examples = int(at_least("examples", examples, 1))

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        x, _ = trainer.datamodule.probe(self.examples)
        logs = jacobian_spectrum(learner.net, x).cpu().numpy()
        scalars = {f"jacobian/{name}": value for name, value in statistics(logs).items()}
        kept = ("mean_square", "log_max", "log_min", "condition", "q05", "q50", "q95")
        learner.metrics |= {name: scalars.get(name) for name in (f"jacobian/{k}" for k in kept)}
        record(trainer, scalars, {"jacobian/spectrum": Spectrum(np.exp(logs), EDGES)})


def statistics(logs: np.ndarray) -> dict[str, float]:
    """Scalars of a spectrum given as natural logarithms, (examples, n) descending; what is not finite is left out."""
    s, zero_free = np.exp(logs), np.isfinite(logs[:, 0]).all()
    values = {
        f"q{round(100 * q):02d}": v
        for q, v in zip(QUANTILES, np.quantile(s, QUANTILES), strict=True)
    }
    values |= {
        "mean_square": np.square(s).mean(),
        "log_max": logs.max(),
        "log_min": logs.min(),
        "condition": np.exp(np.median(logs[:, 0] - logs[:, -1])) if zero_free else np.inf,
        "resolved": np.isfinite(logs).mean(),
    }
    return {name: float(v) for name, v in values.items() if np.isfinite(v)}
