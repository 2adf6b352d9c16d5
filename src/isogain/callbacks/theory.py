"""What theory predicts, on the record beside what is measured."""

import numpy as np
import pytorch_lightning as pl
import torch

from isogain.init.critical import predicted
from isogain.init.initialiser import NetworkInitialiser
from isogain.record.logger import Spectrum, record
from isogain.theory.critical_point import Point
from isogain.theory.prediction import Prediction
from isogain.training.learner import Learner

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
    init = learner.init
    if init.ensemble not in ENSEMBLES or not learner.as_drawn:
        return Prediction({})
    of_network = isinstance(init, NetworkInitialiser)
    at = init.point(learner.net) if of_network else Point(init.gain)
    return predicted(learner.net, at, init.ensemble, x.to(next(learner.net.parameters())))
