"""What goes on the record of theory: laws that do not need a network."""

import pytest
import torch

from isogain.theory import meanfield, spectrum
from isogain.theory.prediction import gates, layers, recurrence


@pytest.mark.parametrize("weights", ["orthogonal", "gaussian"])
def test_an_rnn_that_is_driven_to_q_star_at_once_has_the_moments_of_as_many_layers(weights):
    q, sigma_w, drive, steps = 0.4, 1.1, 0.05, 30
    sigma_b = (q - meanfield.length_map("tanh", q, sigma_w, 0) - drive) ** 0.5
    drives = torch.full((steps,), drive, dtype=torch.float64)
    drives[0] = q - sigma_b**2
    found = recurrence("tanh", sigma_w, sigma_b, drives, weights).numbers
    mean, variance = spectrum.moments("tanh", q, sigma_w, steps, weights)
    assert found["mean_square"] == pytest.approx(mean, rel=1e-9)
    assert found["variance"] == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("phi", ["tanh", "erf", "hardtanh", "relu"])
def test_signals_that_die_out_are_not_predicted_but_where_no_length_matters(phi):
    found = layers(phi, 0.5, 0.0, 8, "orthogonal").numbers
    assert found == {} if phi != "relu" else found["mean_square"] == pytest.approx(0.125**8)


def test_what_float64_cannot_hold_is_absent():
    found = layers("linear", 10.0, 0.0, 400, "orthogonal").numbers
    assert found.keys() == {"chi"}


def test_a_relu_without_a_signal_has_no_slope_to_predict():
    drives = torch.tensor([0.0, 0.1], dtype=torch.float64)
    assert "mean_square" not in recurrence("relu", 1.0, 0.0, drives, "orthogonal").numbers
    assert "mean_square" in recurrence("relu", 1.0, 0.1, drives, "orthogonal").numbers


def test_an_lstm_has_a_prediction_for_a_step_alone():
    assert gates(1.0, 1.0, 0.5, 28, "orthogonal").numbers.keys() == {"chi"}
