"""What is measured of the kernels, and told of their regulariser, at every measurement."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from runs import metrics
from torch import Tensor
from toys import Toy, fitted, learner

from isogain.callbacks.weights import OrthogonalityGap, WeightSpectrum, gain_statistics
from isogain.optim import SGD
from isogain.reg.base import Regularizer


class Tells(Regularizer):
    """Has a gain that each step adds 1 to, and counts the steps in its report."""

    def __init__(self, gain: float | Tensor) -> None:
        super().__init__()
        self.gain, self.steps = gain, 0

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        self.gain, self.steps = self.gain + 1, self.steps + 1

    def report(self) -> dict[str, float]:
        return {"reg/steps": self.steps}


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row[name]]


def test_the_gain_and_what_the_regulariser_reports_are_told_at_every_measurement(tmp_path):
    model = learner(Tells(2.0))
    fitted(tmp_path, [OrthogonalityGap(2)], Toy(20, 4), model, max_epochs=1)
    rows = metrics(tmp_path)
    assert column(rows, "reg/steps") == [0, 2, 4, 5] and column(rows, "gain") == [2, 4, 6, 7]
    assert (model.metrics["reg/steps"], model.metrics["gain"]) == (5, 7)
    assert not {"gain/min", "gain/max"} & (rows[0].keys() | model.metrics.keys())


def test_the_gap_is_measured_at_the_gain_of_the_moment(tmp_path):
    model = learner(Tells(1.0))  # frozen, and orthogonal
    fitted(tmp_path, [OrthogonalityGap(1)], Toy(20, 4), model, max_epochs=1)
    expected = [abs(1 / gain**2 - 1) for gain in (1, 2, 3, 4, 5, 6)]
    assert column(metrics(tmp_path), "gap/max") == pytest.approx(expected, abs=1e-6)
    assert model.metrics["gap/worst"] == model.metrics["gap/final"]


def test_of_learned_gains_the_mean_and_the_extremes_over_all_matrices_are_told():
    kernels = [torch.tensor([1.0, 4.0]).view(2, 1, 1), torch.full((2, 2, 1, 1), 2.5)]
    assert gain_statistics(kernels) == {"gain": 2.5, "gain/min": 1.0, "gain/max": 4.0}


def test_of_given_gains_the_mean_alone_is_told():
    assert gain_statistics([1.5, 2.5]) == {"gain": 2.0}


def test_learned_gains_are_told_as_they_are_now(tmp_path):
    reg = Tells(torch.tensor([[[0.5]]]))
    model = fitted(tmp_path, [OrthogonalityGap(5)], Toy(20, 4), learner(reg), max_epochs=1)
    told = {name: model.metrics[name] for name in ("gain", "gain/min", "gain/max")}
    assert told == {"gain": 5.5, "gain/min": 5.5, "gain/max": 5.5}


def test_measuring_reads_a_kernel_that_is_computed_as_it_is_after_the_step(tmp_path):
    seen = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, model, *args) -> None:
            seen.append(torch.linalg.matrix_norm(model.net.recurrent.detach().double(), 2).item())

    model = learner(optim=SGD(lr=0.3))
    parametrized = torch.nn.utils.parametrize.register_parametrization
    parametrized(model.net, "recurrent", torch.nn.Identity())
    fitted(tmp_path, [Look(), WeightSpectrum(1)], Toy(20, 4), model, max_epochs=1)
    with np.load(tmp_path / "spectra.npz") as arrays:
        largest = arrays["weights/recurrent"][1:, 0, 0]
    assert largest.tolist() == pytest.approx(seen, rel=1e-12) and len(set(seen)) == 5
