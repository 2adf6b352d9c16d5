"""The forward signal layer by layer, or step by step, over training."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.path import Path
from isogain.callbacks.probe_batch import Probe
from isogain.callbacks.subject import subject
from isogain.diagnostics.signals import signals
from isogain.record.logger import Spectrum, record


class SignalStatistics(Diagnostic):
    """Every `every`, on the first `examples` validation examples, what `diagnostics.signals.Signals` lists.

    `signal/<statistic>` in spectra.npz for every layer or time step and matrix; as a scalar its mean over them.
    The other options are those of `JacobianSpectrum`: of a module `along` names it is its states h_0 … h_L.
    """

    def __init__(
        self,
        every: int | str = 500,
        examples: int = 64,
        at_start: bool = True,
        along: str | Sequence[str] | None = None,
        over: Literal["time"] | None = None,
        from_input: bool = False,
        net: str | None = None,
        probe: Any = None,
        inputs: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(every, at_start, net)
        self.probe = Probe(examples, probe, inputs, least=2)  # a correlation takes two
        self.path = Path(along, over, from_input)

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        who = subject(module, self)
        x, _ = who.batch(trainer, self.probe)
        measured = signals(self.path.of(who), x)
        arrays = {f"signal/{k}": v.cpu().numpy() for k, v in asdict(measured).items()}
        known = {
            name: v[np.isfinite(v)] for name, v in arrays.items()
        }  # NaN where all units are equal
        scalars = {name: float(v.mean()) for name, v in known.items() if v.size}
        record(
            trainer, scalars, {k: Spectrum(v, axes=("place", "matrix")) for k, v in arrays.items()}
        )
