"""Saturated networks against mpmath on the same weights and inputs: no digit is lost with 1 − h²."""

import math

import mpmath
import pytest
import torch
from torch.nn.functional import mse_loss

from isogain.diagnostics import (
    factor_spectra,
    input_norms,
    jacobian,
    jacobian_extremes,
    jacobian_spectra,
    signal_gradient_norms,
)
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

PHI = {"tanh": mpmath.tanh, "erf": mpmath.erf}
LOG_SLOPE = {
    "tanh": lambda z: 2 * mpmath.log(mpmath.sech(z)),
    "erf": lambda z: mpmath.log(2 / mpmath.sqrt(mpmath.pi)) - z**2,
}


def one_unit(z, activation, steps=4):
    """h_t = φ(x_t + h_{t−1}) at x = z, and log |∂h_T/∂h_0|, by mpmath."""
    net = RNN(1, 2, steps, 1, activation=activation)
    with torch.no_grad():
        for p in (net.recurrent, net.input[0].weight):
            p.fill_(1)
    with mpmath.workdps(50):
        h, total = mpmath.mpf(0), mpmath.mpf(0)
        for _ in range(steps):
            total += LOG_SLOPE[activation](z + h)
            h = PHI[activation](z + h)
    return net, torch.full((1, steps, 1), float(z)), float(total)


@pytest.mark.parametrize("z", [8, 19, 50, 400, 10_000])
@pytest.mark.parametrize("activation", PHI)
def test_a_unit_has_a_slope_however_far_it_is_saturated(activation, z):
    net, x, expected = one_unit(z, activation)
    close = pytest.approx(expected, rel=1e-12, abs=1e-3)
    assert jacobian_spectra(net, x).logs.item() == close
    assert jacobian_extremes(net, x).tolist() == [[close, close]]
    assert input_norms(net, x)[0, 0].item() == close
    y = torch.zeros(1, 2)
    norms = signal_gradient_norms(net, x, y, mse_loss)[0]
    assert (norms[0] - norms[-1]).item() == close
    assert factor_spectra(net, x, range(4)).sum().item() == close


@pytest.mark.parametrize("z", [50, 400])
def test_a_jacobian_outside_the_range_of_its_precision_is_refused(z):
    net, x, _ = one_unit(z, "tanh")
    with pytest.raises(torch.linalg.LinAlgError, match="take jacobian_spectrum"):
        jacobian(net.double() if z == 400 else net, x)


def logs_by_mpmath(product):
    return [
        float(mpmath.log(s)) if s else -math.inf for s in mpmath.svd_r(product, compute_uv=False)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 6.0, 60.0])
def test_an_mlp_with_large_biases_is_right_in_every_logarithm(spread, dtype):
    net, x = MLP(3, 4, 5, 8, 4), torch.randn(2, 5, 3)
    with torch.no_grad():
        net.bias.normal_().mul_(spread)
    net, x = net.to(dtype), x.to(dtype)
    found = jacobian_spectra(net, x).logs[:, 0]
    with mpmath.workdps(60 + int(20 * spread)):
        for example, logs in zip(x, found, strict=True):
            h = mpmath.matrix(net.input.weight.tolist()) * mpmath.matrix(example.flatten().tolist())
            h = (h + mpmath.matrix(net.input.bias.tolist())).apply(mpmath.tanh)
            product = mpmath.eye(8)
            for w, b in zip(net.kernel.tolist(), net.bias.tolist(), strict=True):
                z = mpmath.matrix(w) * h + mpmath.matrix(b)
                h = z.apply(mpmath.tanh)
                slopes = mpmath.diag([mpmath.sech(v) ** 2 for v in z])
                product = slopes * mpmath.matrix(w) * product
            expected = torch.tensor(logs_by_mpmath(product), dtype=torch.float64)
            atol = 1e-3 if dtype == torch.float32 else 1e-6
            torch.testing.assert_close(logs, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("saturation", [0.0, 30.0, 400.0])
def test_an_lstm_with_saturated_gates_is_right_in_every_logarithm(saturation):
    net, x = LSTM(1, 2, 4, 1), torch.randn(1, 4, 1)
    with torch.no_grad():
        net.recurrent.normal_()
        net.input[0].bias.normal_().add_(saturation * torch.tensor([1, -1, 1, -1]))
    with mpmath.workdps(60 + int(8 * saturation)):
        u, w, b = (
            [mpmath.mpf(v) for v in p.flatten().tolist()]
            for p in (net.input[0].weight, net.recurrent, net.input[0].bias)
        )
        h, c, product = mpmath.mpf(0), mpmath.mpf(0), mpmath.eye(2)
        for now in x.flatten().tolist():
            z = [u[k] * now + w[k] * h + b[k] for k in range(4)]
            i, f, o = (1 / (1 + mpmath.exp(-z[k])) for k in (0, 1, 3))
            di, df, do = (1 / (2 + 2 * mpmath.cosh(z[k])) for k in (0, 1, 3))
            g, dg = mpmath.tanh(z[2]), mpmath.sech(z[2]) ** 2
            c, before = f * c + i * g, c
            c_by_h = g * di * w[0] + before * df * w[1] + i * dg * w[2]
            t, dt = mpmath.tanh(c), mpmath.sech(c) ** 2
            h_by = (t * do * w[3] + o * dt * c_by_h, o * dt * f)
            product = mpmath.matrix([h_by, (c_by_h, f)]) * product
            h = o * t
        expected = torch.tensor(logs_by_mpmath(product), dtype=torch.float64)
    found = jacobian_spectra(net, x).logs[0, 0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(jacobian_extremes(net, x)[0], expected, rtol=0, atol=1e-3)
