"""Recurrent theory against simulated networks: our RNN and one step of our LSTM."""

import math

import pytest
import torch
from cases import slow_but

from isogain.diagnostics.jacobian import jacobian
from isogain.init import gaussian_, orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.rnn import RNN
from isogain.theory import meanfield
from isogain.theory.recurrent import critical, lstm_critical, lstm_step, q_star

N = 400
SIGMAS = 4.5  # of a standard error
INIT = {"orthogonal": orthogonal_, "gaussian": gaussian_}


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(("sigma_w", "sigma_b", "drive"), [(0.9, 0.1, 0.05), (1.5, 0.3, 0.4)])
def test_an_rnn_settles_at_q_star_under_its_input(sigma_w, sigma_b, drive):
    net = RNN(n_in=50, n_out=2, hidden=N).double()
    with torch.no_grad():
        gaussian_(net.recurrent, sigma_w)
        gaussian_(net.input[0].weight, math.sqrt(drive))
        net.input[0].bias.normal_(0, sigma_b)
    hs = net.trajectory(randn(8, N) * 0.1, randn(8, 60, 50))[30:]
    measured = torch.stack(hs).detach().square().mean().item()
    q = q_star("tanh", sigma_w, sigma_b, drive)
    assert meanfield.length_map("tanh", q, sigma_w, sigma_b) + drive == pytest.approx(q)
    assert measured == pytest.approx(meanfield.length_map("tanh", q, 1.0, 0.0), rel=0.05)


def test_the_critical_rnn_leaves_room_for_its_input():
    sigma_w, sigma_b = critical("tanh", 0.5, 0.01)
    assert meanfield.chi("tanh", 0.5, sigma_w) == pytest.approx(1)
    assert q_star("tanh", sigma_w, sigma_b, 0.01) == pytest.approx(0.5, rel=1e-6)
    assert critical("tanh", 0.5, 0.0) == pytest.approx(meanfield.critical("tanh", 0.5))
    with pytest.raises(ValueError, match=r"drive must be at most 0.03804 at q_star=0.5, got 0.1"):
        critical("tanh", 0.5, 0.1)


def sampled_step(sigma_w, forget_bias, drive, steps, weights):
    """E[h²], E[c²], and mean and variance of s² of the last of `steps` steps of our LSTM."""
    net = LSTM(n_in=50, n_out=2, hidden=N, forget_bias=forget_bias).double()
    with torch.no_grad():
        INIT[weights](net.recurrent, sigma_w) if sigma_w else net.recurrent.zero_()
        net.input[0].weight.normal_(0, math.sqrt(drive / 50))
        x = randn(2, steps, 50)
        state = net.trajectory(net.start(x), x[:, :-1])[-1]
    net.start = lambda x: state
    s2 = torch.linalg.svdvals(jacobian(net, x[:, -1:])).square()
    h, c = state.chunk(2, -1)
    return [
        v.item() for v in (h.square().mean(), c.square().mean(), s2.mean(), s2.var(correction=0))
    ]


@pytest.mark.parametrize(
    ("sigma_w", "forget_bias", "drive", "steps", "weights"),
    slow_but(
        [
            (*at, weights)
            for at in [
                (3.0, 0.0, 1.0, 10),
                (1.0, 1.0, 0.5, 28),
                (2.5, 3.0, 0.1, 40),
                (0.0, 1.0, 0.5, 20),
            ]
            for weights in ("orthogonal", "gaussian")
        ],
        *(0, 3),
    ),
)
def test_one_step_of_our_lstm_has_the_predicted_mean_and_variance(
    sigma_w, forget_bias, drive, steps, weights
):
    predicted = lstm_step(sigma_w, forget_bias, drive, steps, weights)
    draws = [sampled_step(sigma_w, forget_bias, drive, steps, weights) for _ in range(5)]
    measured = torch.tensor(draws, dtype=torch.float64)
    expected = torch.tensor(predicted, dtype=torch.float64)
    error = measured.std(0) / math.sqrt(len(draws)) + 0.01 * expected  # of the population
    assert ((measured.mean(0) - expected).abs() < SIGMAS * error).all()


@pytest.mark.parametrize(
    ("forget_bias", "weights"),
    slow_but([(b, w) for b in (0.0, 1.0, 4.0) for w in ("orthogonal", "gaussian")], 2, 5),
)
@pytest.mark.slow
def test_the_critical_lstm_has_a_mean_squared_singular_value_of_1(forget_bias, weights):
    sigma_w = lstm_critical(forget_bias, 0.3, 28, weights)
    assert lstm_step(sigma_w, forget_bias, 0.3, 28, weights).mean == pytest.approx(1, abs=1e-5)
    *_, mean, _ = sampled_step(sigma_w, forget_bias, 0.3, 28, weights)
    assert mean == pytest.approx(1, abs=0.05)


def test_the_population_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    lstm_step(1.0, 1.0, 0.5, 3)
    assert torch.equal(torch.get_rng_state(), state)
