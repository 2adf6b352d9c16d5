"""Singular values of the input-output Jacobian ∂h_L/∂h_0 over training."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.path import Path, widths
from isogain.callbacks.probe_batch import Probe
from isogain.callbacks.subject import Subject, subject
from isogain.config.ranges import at_least
from isogain.diagnostics.extremes import jacobian_extremes
from isogain.diagnostics.jacobian import jacobian_spectra
from isogain.models.trajectory import Trajectory
from isogain.record.logger import Spectrum, record

log = logging.getLogger(__name__)

EDGES = np.geomspace(1e-6, 1e3, 65)  # 64 bins, an equal ratio each
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEPT = (
    "mean_square",
    "log_max",
    "log_min",
    "condition",
    "exact",
    "limit",
    "matrix_free",
    "unresolved",
    "q05",
    "q50",
    "q95",
)
AT_START = (
    "mean_square",
    "variance",
    "log_max",
)  # kept in the summary, beside what theory predicts


class JacobianSpectrum(Diagnostic):
    """Every `every`, on the first `examples` validation examples: the same all through a run.

    Logs all singular values s as `jacobian/spectrum` and log s as `jacobian/log_spectrum`, and of them
    `jacobian/...`: quantiles `q05` … `q95`, `mean_square` (χ^L in mean-field theory) and `variance` of s²,
    `log_max`, `log_min` and `log_condition` (natural; the latter and `condition` are medians over examples).
    Exact zeros make `log_min` and `condition` absent; `resolved` is the share of the others, `exact` that of the
    examples measured exactly: those of which the plain product has a condition number above `limit`, or has lost
    digits on the way. `at_start` repeats some of the first measurement in the summary. Examples whose values depend on
    more digits than are at hand are named in the log and left out: their share is `unresolved`, where there are any.

    `spans` more, from as many l on, are in `jacobian/by_start`: log σ(∂h_L/∂h_l), of the l in `jacobian/starts`.
    Of a state larger than `largest` only `log_max` and, as a bound, `log_min` are measured, without forming the
    matrix.

    In any LightningModule `along` names the submodules whose outputs are the states, as in `isogain.along`, to which
    `over`, of a recurrent part `net`, and `from_input` go too; with widths that differ NaN fills up `by_start`.
    `probe`, `inputs`: the batch and what of it the network is called with, see `Probe`.
    """

    def __init__(
        self,
        every: int | str = 500,
        examples: int = 4,
        spans: int = 4,
        largest: int = 2048,
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
        self.spans = int(at_least("spans", spans, 0))
        self.largest = int(at_least("largest", largest, 1))

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        who = subject(module, self)
        x, _ = who.batch(trainer, self.probe)
        net = self.path.of(who)
        sizes = widths(net, x)
        if max(sizes) > self.largest:
            self._extremes(trainer, who, net, x)
            return
        starts = spread(self.spans, len(sizes) - 1)
        spectra = jacobian_spectra(net, x, starts)
        logs = spectra.logs[:, 0, : min(sizes[0], sizes[-1])].numpy()
        used = {"exact": spectra.exact[:, 0].double().mean().item(), "limit": spectra.limit}
        known, unresolved = self._known(trainer, logs)
        values = (statistics(known) if len(known) else {}) | used | unresolved
        arrays = {
            "spectrum": Spectrum(np.exp(logs), EDGES, ("example", "value")),
            "log_spectrum": Spectrum(logs, axes=("example", "value")),
            "exact": Spectrum(spectra.exact.numpy(), axes=("example", "start")),
            "starts": Spectrum(np.array(starts), axes=("start",)),
        }
        if self.spans:
            arrays["by_start"] = Spectrum(spectra.logs.numpy(), axes=("example", "start", "value"))
        self._record(trainer, who, values, arrays)

    def _extremes(self, trainer: pl.Trainer, who: Subject, net: Trajectory, x: Any) -> None:
        known, unresolved = self._known(trainer, jacobian_extremes(net, x).numpy())
        values = {"log_max": known[:, 0].max(), "log_min": known[:, 1].min()} if len(known) else {}
        finite = {name: float(value) for name, value in values.items() if np.isfinite(value)}
        self._record(trainer, who, finite | {"matrix_free": 1.0} | unresolved, {})

    def _known(self, trainer: pl.Trainer, logs: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        """The examples without NaN, and the share of the others, which are named in the log once a run."""
        unknown = np.isnan(logs).any(1)
        if not unknown.any():
            return logs, {}
        if not self._warned:
            log.warning(
                "JacobianSpectrum at step %d: the singular values of example %s depend on more than the 31st digit of "
                "the network's factors and are left out",
                trainer.global_step,
                ", ".join(map(str, unknown.nonzero()[0])),
            )
        self._warned = True
        return logs[~unknown], {"unresolved": float(unknown.mean())}

    def _record(
        self,
        trainer: pl.Trainer,
        who: Subject,
        values: dict[str, float],
        arrays: dict[str, Spectrum],
    ) -> None:
        named = {f"jacobian/{name}": value for name, value in values.items()}
        who.keep({f"jacobian/{name}": named.get(f"jacobian/{name}") for name in KEPT})
        if trainer.global_step == 0:
            at_start = {name: values[name] for name in AT_START if name in values}
            who.metrics.update({f"jacobian/at_start/{name}": v for name, v in at_start.items()})
        record(trainer, named, {f"jacobian/{name}": array for name, array in arrays.items()})


def spread(spans: int, length: int) -> list[int]:
    """0, and `spans` further starts l with L − l evenly spread in its logarithm, as far as there are as many."""
    lags = np.unique(np.geomspace(1, length, spans + 1).round().astype(int))[:-1] if spans else []
    return [0, *sorted(length - int(lag) for lag in lags)]


def statistics(logs: np.ndarray) -> dict[str, float]:
    """Scalars of a spectrum given as natural logarithms, (examples, n) descending; what is not finite is left out."""
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float64: left out
        return _statistics(logs)


def _statistics(logs: np.ndarray) -> dict[str, float]:
    s, zero_free = np.exp(logs), np.isfinite(logs[:, 0]).all()
    condition = np.median(logs[:, 0] - logs[:, -1]) if zero_free else np.inf
    values = {
        f"q{round(100 * q):02d}": v
        for q, v in zip(QUANTILES, np.quantile(s, QUANTILES), strict=True)
    }
    values |= {
        "mean_square": np.square(s).mean(),
        "variance": np.square(s).var(),
        "log_max": logs.max(),
        "log_min": logs.min(),
        "log_condition": condition,
        "condition": np.exp(condition),
        "resolved": np.isfinite(logs).mean(),
    }
    return {name: float(v) for name, v in values.items() if np.isfinite(v)}
