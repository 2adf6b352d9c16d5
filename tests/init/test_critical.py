"""`init=critical`: where it puts a network, what it refuses, and that theory then meets measurement."""

import math

import pytest
import torch
from cases import randn, slow_but
from runs import composed

from isogain.config.check import parts, resolved
from isogain.config.errors import ConfigError
from isogain.diagnostics.jacobian import jacobian_spectrum
from isogain.diagnostics.signals import signals
from isogain.init.critical import BASES, Critical, drive, point, predicted
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.theory import meanfield, recurrent
from isogain.training.preflight import rehearse

CHOICE = ("init=critical", "logger=csv", "out=run")
FLAT = (*CHOICE, "model=mlp", "data=mnist")


def critical(net, x, **asked):
    """`net` as a run would set it, and its point."""
    options = {"q_star": None, "sigma_w": None, "base": "orthogonal", "normalise_input": True}
    options |= asked
    init = Critical(point(net, **options).sigma_w, **options)
    for module, name in net.kernels():
        init(getattr(module, name))
    init.finish_(net, x)
    return init.point(net)


@pytest.mark.parametrize(
    ("activation", "base"),
    [
        *(
            slow_but(
                [(phi, "orthogonal") for phi in ("relu", "tanh", "erf", "hardtanh", "linear")], 0
            )
        ),
        *((phi, "gaussian") for phi in ("tanh", "erf", "hardtanh", "relu", "linear")),
    ],
)
def test_every_preactivation_of_a_critical_mlp_has_variance_q_star(activation, base):
    net = MLP(30, 2, hidden=1000, depth=4, activation=activation).double()
    x = 5 * randn(16, 30) + 1  # scale and mean are the input's own
    critical(net, x, q_star=0.3, base=base)
    first = net.input(x).square().mean().item()
    assert first == pytest.approx(0.3, rel=0.02)
    q = signals(net, x).q[:, 0]
    assert q.tolist() == pytest.approx([0.3] * 4, rel=0.25 if base == "gaussian" else 0.15)


@pytest.mark.parametrize("activation", slow_but(["tanh", "erf", "hardtanh"], 0))
def test_a_critical_mlp_has_the_biases_and_the_gain_of_its_point(activation):
    net = MLP(5, 2, hidden=300, depth=50, activation=activation).double()
    at = critical(net, randn(4, 5), q_star=0.5)
    sigma_w, sigma_b = meanfield.critical(activation, 0.5)
    assert at[:2] == pytest.approx((sigma_w, sigma_b))
    assert net.bias.std().item() == pytest.approx(sigma_b, rel=0.03)
    assert torch.linalg.svdvals(net.kernel).amax().item() == pytest.approx(sigma_w)


def test_sigma_w_gives_the_point_that_its_q_star_gives():
    q = meanfield.critical_q("tanh", 1.05**0.5)
    asked = {"base": "orthogonal", "normalise_input": True}
    net = MLP(5, 2)
    by_gain = point(net, None, 1.05**0.5, **asked)
    assert by_gain == pytest.approx(point(net, q, None, **asked))
    assert by_gain.sigma_b**2 == pytest.approx(2.01e-5, rel=1e-3)  # FACTS 1


def test_without_normalisation_the_input_stays_as_the_network_drew_it():
    net = MLP(5, 2).double()
    before = net.input.weight.detach().clone()
    critical(net, randn(4, 5), normalise_input=False)
    assert torch.equal(net.input.weight, before)


def test_a_critical_rnn_settles_at_q_star_under_its_input():
    net = RNN(20, 2, hidden=1000, depth=2).double()
    x = 3 * randn(8, 60, 20)
    at = critical(net, x, q_star=0.5)
    total = meanfield.critical("tanh", 0.5)[1]
    assert at.drive == pytest.approx(total**2) and at.sigma_b == 0
    assert drive(net, x) == pytest.approx(at.drive)
    q = signals(net, x).q[30:].mean(0)
    assert q.tolist() == pytest.approx([0.5, 0.5], rel=0.1)


def test_an_rnn_whose_input_is_left_alone_has_the_biases_of_the_line():
    net = RNN(20, 2, hidden=1500).double()
    at = critical(net, randn(2, 3, 20), q_star=0.5, normalise_input=False)
    assert at.drive is None
    assert net.input[0].bias.std().item() == pytest.approx(at.sigma_b, rel=0.05)


@pytest.mark.parametrize("base", slow_but(sorted(BASES), 1))
def test_a_step_of_a_critical_lstm_has_a_mean_squared_singular_value_of_1(base):
    net = LSTM(50, 2, hidden=300, forget_bias=2.0).double()
    x = randn(2, 24, 50)
    at = critical(net, x, q_star=0.1, base=base)
    assert drive(net, x) == pytest.approx(0.1)
    assert net.input[0].bias[300:600].tolist() == [2.0] * 300  # forget bias
    state = net.trajectory(net.start(x), x[:, :-1])[-1]
    net.start = lambda x: state
    measured = jacobian_spectrum(net, x[:, -1:]).exp().square().mean().item()
    assert measured == pytest.approx(1, abs=0.05)
    assert recurrent.lstm_step(at.sigma_w, 2.0, 0.1, 32, base).mean == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("model", ["mlp", "rnn", "lstm"])
def test_the_gain_of_every_part_is_the_sigma_w_that_was_found(model):
    config = resolved(composed(*CHOICE, f"model={model}", "init.q_star=0.5", "reg=hard"))
    gain = config["init"]["gain"]
    assert config["reg"]["gain"] == gain
    if model != "lstm":
        assert gain == pytest.approx(1.687975**0.5, rel=1e-6)  # FACTS 1


REFUSED = {
    ("init.q_star=0.5", "init.sigma_w=1.1"): "q_star and sigma_w each give the other: set one of",
    ("init.sigma_w=0.9",): "sigma_w=0.9 with tanh: chi < 1 at every q_star, none is critical",
    ("init.sigma_w=1",): "sigma_w=1 with tanh is critical at q_star = 0 alone",
    ("init.q_star=0",): "q_star must be a finite number > 0, got 0",
    ("model.activation=hardtanh", "init.sigma_w=0.9"): "sigma_w=0.9 with hardtanh: chi < 1 at",
    ("model.activation=linear", "init.sigma_w=1.1"): "sigma_w must be 1 with linear, got 1.1",
    ("model.activation=relu", "init.sigma_w=1"): "sigma_w must be 1.4142136 with relu, got 1",
    (
        "model.activation=relu",
        "init.q_star=1",
        "init.normalise_input=false",
    ): "q_star scales the input alone with relu: normalise_input=true",
    ("model=rnn", "model.activation=modrelu"): "there is no mean-field theory of modrelu",
    ("model=rnn", "model.activation=relu"): "relu leaves a recurrence no room for an input",
    ("model=lstm", "init.sigma_w=2"): "an LSTM's sigma_w follows from model.forget_bias and",
    ("model=lstm", "init.normalise_input=false"): "an LSTM's sigma_w depends on its input's scale",
}


@pytest.mark.parametrize(("overrides", "reason"), REFUSED.items(), ids=lambda v: str(v)[:40])
def test_what_has_no_critical_point_is_told_before_anything_is_built(overrides, reason):
    data = () if "model=rnn" in overrides or "model=lstm" in overrides else FLAT[3:]
    with pytest.raises(ConfigError) as refusal:
        parts(composed(*CHOICE, *data, *overrides))
    assert str(refusal.value).startswith(f"init=critical: {reason}")
    assert "\n" not in str(refusal.value)


def test_a_gain_of_ones_own_is_refused_with_the_one_that_was_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = r"^init\.gain must be 1\.0151638, got 1\.1: init=critical finds it from init\.q_star or"
    with pytest.raises(ConfigError, match=line):
        rehearse(**parts(composed(*FLAT, "init.gain=1.1", "data.root=nowhere")))
    assert not list(tmp_path.iterdir())


def test_a_wrong_option_is_told_as_with_every_initialiser():
    with pytest.raises(ConfigError) as refusal:
        parts(composed(*FLAT, "init.q_star=abc", "init.base=glorot"))
    assert str(refusal.value).splitlines() == [
        "init.q_star=abc: must be a number or null",
        "init.base=glorot: must be one of orthogonal, gaussian",
    ]


@pytest.mark.parametrize("base", slow_but(sorted(BASES)))
def test_prediction_and_measurement_of_a_wide_critical_mlp_agree(base):
    depth, q = 16, 0.3
    net = MLP(30, 2, hidden=400, depth=depth).double()
    x = randn(4, 30)
    x = x / x.norm(dim=1, keepdim=True)  # one length: theory knows one q*
    at = critical(net, x, q_star=q, base=base)
    numbers, law = predicted(net, at, base, x)
    assert numbers["q_star"] == pytest.approx(q) and numbers["chi"] == pytest.approx(1)
    assert numbers["mean_square"] == pytest.approx(1) and "xi_c" not in numbers  # infinite
    s = jacobian_spectrum(net, x).exp()
    error = math.sqrt(depth / 400)  # corrections of finite width
    assert s.square().mean().item() == pytest.approx(1, abs=error)
    assert s.square().var().item() == pytest.approx(numbers["variance"], rel=3 * error)
    assert s.amax(1).mean().item() == pytest.approx(numbers["s_max"], rel=error)
    grid, weight = law.grid()
    below = (law.density(grid) * weight)[grid < 0.5].sum().item()
    assert (s < 0.5).double().mean().item() == pytest.approx(below, abs=error / 2)
