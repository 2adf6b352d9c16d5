"""What theory predicts, on the record beside what is measured."""

from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch

from isogain.critical import predicted
from isogain.learner import Learner
from isogain.record.logger import Spectrum, record
from isogain.theory.critical import Point
from isogain.theory.prediction import Prediction

ENSEMBLES = ("orthogonal", "gaussian")


class TheoryPrediction(pl.Callback):
    """Before the first update, `theory/...` of the network as it was initialised: q_star, chi, xi_c, mean_square,
    variance and s_max, as far as theory says something. In spectra.npz the density of an MLP's singular values:
    `theory/density` (s, density) and `theory/atoms` (s, probability).

    It knows init=orthogonal, gaussian and critical, unless the regulariser moved the kernels; an RNN of one layer (but
    s_max) and a step of an LSTM's (chi) under their input's variance on the first `examples` validation examples.
    """

    def __init__(self, examples: int = 64) -> None:
        self.examples = examples

    def on_train_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        if trainer.global_step or not trainer.is_global_zero:
            return
        with torch.no_grad():
            numbers, law = prediction(learner, trainer.datamodule.probe(self.examples)[0])
        named, arrays = {f"theory/{name}": value for name, value in numbers.items()}, {}
        if law is not None:
            s = law.grid()[0]
            atoms = np.array(list(law.atoms().items())).reshape(-1, 2).T
            density = torch.stack([s, law.density(s)]).numpy()
            arrays["theory/density"] = Spectrum(density, axes=("s, density", "value"))
            arrays["theory/atoms"] = Spectrum(atoms, axes=("s, probability", "atom"))
        if named:
            learner.metrics |= named
            record(trainer, named, arrays)


def prediction(learner: Learner, x: torch.Tensor) -> Prediction:
    """Of the learner's network on the inputs x, nothing where the law of its kernels is not known."""
    init = learner.init if hasattr(learner.init, "keywords") else partial(learner.init)
    weights = init.keywords.get("base", init.func.__name__.rstrip("_"))
    if weights not in ENSEMBLES or not learner.as_drawn:
        return Prediction({})
    at = init.point(learner.net) if hasattr(init, "point") else Point(learner.init_gain)
    return predicted(learner.net, at, weights, x.to(next(learner.net.parameters())))
