"""What theory predicts goes on the record at step 0, and only where it says something."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from cases import covering
from runs import metrics, small_run, summary
from torch.nn.functional import cross_entropy
from toys import FROZEN, Toy, fitted

from isogain.callbacks.theory import TheoryPrediction, prediction
from isogain.data.mnist import hits
from isogain.diagnostics.jacobian import jacobian_spectrum
from isogain.init import gaussian_, orthogonal_
from isogain.init.critical import drive
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.reg.base import Regularizer
from isogain.theory import spectrum
from isogain.theory.recurrent import lstm_step, q_star
from isogain.training.learner import Learner

NAMES = {"q_star", "chi", "mean_square", "variance", "s_max"}
MLP_RUN = ("model=mlp", "data=mnist", "trainer.max_epochs=1", "reg=none")


def predicted(net, init, x=None):
    model = Learner(net, init, Regularizer(), None, None)
    return prediction(model, Toy().x if x is None else x).numbers


@pytest.mark.parametrize("init", [orthogonal_, gaussian_])
def test_an_mlp_is_predicted_at_its_gain_and_depth(init):
    found = predicted(MLP(15, 4, hidden=6, depth=7), partial(init, gain=1.5))
    q, weights = q_star("tanh", 1.5, 0, 0), init.__name__.rstrip("_")
    mean, variance = spectrum.moments("tanh", q, 1.5, 7, weights)
    assert found.keys() == NAMES | {"xi_c"}
    assert (found["q_star"], found["mean_square"], found["variance"]) == (q, mean, variance)
    assert found["s_max"] ** 2 == pytest.approx(spectrum.s2_max("tanh", q, 1.5, 7, weights))


def test_a_linear_network_needs_no_q_star():
    found = predicted(
        MLP(15, 4, hidden=6, depth=3, activation="linear"), partial(orthogonal_, gain=1.1)
    )
    assert found == pytest.approx(
        {"chi": 1.21, "mean_square": 1.1**6, "variance": 0, "s_max": 1.1**3}
    )


def test_an_rnn_is_predicted_under_the_variance_of_its_input():
    net = RNN(3, 4, hidden=6)
    found = predicted(net, partial(orthogonal_, gain=1.2))
    assert found["q_star"] == pytest.approx(q_star("tanh", 1.2, 0, drive(net, Toy().x)))
    assert found.keys() == {"q_star", "chi", "xi_c", "mean_square", "variance"}


def test_a_network_in_half_precision_is_predicted_too():
    net = RNN(3, 4, hidden=6)
    expected = predicted(net, fill := partial(orthogonal_, gain=1.2))
    model = Learner(net, fill, Regularizer(), None, None).bfloat16()
    assert prediction(model, Toy().x).numbers == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("init", "gain"), covering([orthogonal_, gaussian_], [0.9, 1.2]))
def test_a_wide_rnn_has_the_predicted_moments_on_its_way_from_h_0_to_q_star(init, gain):
    x = torch.linspace(0, 2, 10).view(1, 10, 1) * torch.randn(4, 10, 20)  # louder with time
    net = RNN(20, 4, hidden=400)
    found = predicted(net, partial(init, gain=gain), x)
    s2 = (2 * jacobian_spectrum(net, x)).exp()
    assert s2.mean().item() == pytest.approx(found["mean_square"], rel=0.15)
    assert s2.var().item() == pytest.approx(found["variance"], rel=0.3)


def test_an_lstm_is_predicted_for_one_step_alone():
    net = LSTM(3, 4, hidden=6, forget_bias=2.0)
    found = predicted(net, partial(gaussian_, gain=1.2))
    step = lstm_step(1.2, 2.0, drive(net, Toy().x), 5, "gaussian")
    assert found == pytest.approx({"chi": step.mean})


@pytest.mark.parametrize(
    ("model", "options", "init", "gain"),
    [
        (MLP, {}, "orthogonal", 0.9),  # q* = 0
        (MLP, {}, "identity", 1.5),
        (MLP, {}, "glorot", 1.5),
        (RNN, {"activation": "modrelu"}, "orthogonal", 1.5),
        (RNN, {"depth": 2}, "orthogonal", 1.5),
        (LSTM, {"depth": 2}, "orthogonal", 1.5),
    ],
)
def test_where_theory_says_nothing_the_record_has_nothing(model, options, init, gain):
    from isogain import init as initialisers

    fill = partial(getattr(initialisers, f"{init}_"), gain=gain)
    assert predicted(model(3, 4, length=5, hidden=6, **options), fill) == {}


class Doubles(Regularizer):
    def make_feasible_(self, w):
        w.mul_(2)


def test_kernels_that_the_regulariser_moved_are_not_predicted():
    model = Learner(MLP(15, 4, hidden=6), partial(orthogonal_, gain=1.5), Doubles(), None, None)
    assert not model.as_drawn and prediction(model, Toy().x).numbers == {}


def test_the_record_has_the_prediction_once_and_its_density(tmp_path):
    net, init = MLP(3, 4, length=5, hidden=6), partial(orthogonal_, gain=1.5)
    model = Learner(net, init, Regularizer(), FROZEN, cross_entropy, hits)
    fitted(tmp_path, [TheoryPrediction()], Toy(), model, max_epochs=1)
    rows = [row for row in metrics(tmp_path) if row.get("theory/q_star")]
    assert [row["step"] for row in rows] == ["0"]
    assert float(rows[0]["theory/chi"]) == model.metrics["theory/chi"] > 1  # chaotic
    with np.load(tmp_path / "spectra.npz") as arrays:
        (s, density), atoms = arrays["theory/density"][0], arrays["theory/atoms"][0]
    assert np.trapezoid(density, s) + atoms[1].sum() == pytest.approx(1, abs=1e-2)


@pytest.mark.slow
def test_the_summary_of_a_critical_run_has_prediction_and_measurement(tmp_path):
    small_run(tmp_path / "run", *MLP_RUN, "model.hidden=64", "init=critical", "init.q_star=0.5")
    found = summary(tmp_path / "run")
    assert {f"theory/{name}" for name in NAMES} <= found.keys()
    assert found["theory/q_star"] == pytest.approx(0.5) and "theory/xi_c" not in found
    assert found["jacobian/at_start/mean_square"] == pytest.approx(
        found["theory/mean_square"], rel=0.5
    )
    assert json.dumps(found, allow_nan=False)
