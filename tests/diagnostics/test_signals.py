import math
import warnings
from dataclasses import fields

import numpy as np
import pytest
import scipy.stats
import torch
from cases import networks, randn, same, small
from torch import nn

from isogain.diagnostics.preactivations import preactivations, relative_slope
from isogain.diagnostics.signals import Signals, anderson_darling, correlations, kurtosis, signals
from isogain.init import gaussian_, orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.reg.lie import Lie

B = 6


def unbiased(depth, hidden, phi, gain=1.0, init=orthogonal_):
    """An MLP without hidden biases."""
    net = small(MLP, depth=depth, hidden=hidden, activation=phi)
    init(net.kernel, gain)
    for bias in (net.input.bias, net.bias):
        nn.init.zeros_(bias)
    return net


def by_scipy(z):
    """A*² of one sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about the p-value, which is not used
        statistic = scipy.stats.anderson(z, "norm").statistic
    return statistic * (1 + 0.75 / len(z) + 2.25 / len(z) ** 2)


@pytest.mark.parametrize("n", [8, 30, 400])
def test_anderson_darling_is_scipys(n):
    z = torch.cat([randn(3, n), randn(2, n).exp(), randn(1, n).sign()])
    expected = [by_scipy(sample) for sample in z.numpy()]
    torch.testing.assert_close(
        anderson_darling(z), torch.tensor(expected).double(), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(("critical", "level"), [(0.631, 0.10), (0.752, 0.05), (1.035, 0.01)])
@pytest.mark.parametrize("n", [10, 50, 400])
def test_anderson_darling_rejects_gaussian_samples_as_often_as_its_table_says(n, critical, level):
    samples = 10_000
    rate = (anderson_darling(randn(samples, n)) > critical).double().mean().item()
    assert rate == pytest.approx(level, abs=4 * math.sqrt(level / samples) + 0.05 * level)


def test_a_haar_orthogonal_layer_keeps_the_null_distribution_of_anderson_darling():
    """Whatever signal it reads: here that of one unit, as far from mean field as there is."""
    h = torch.zeros(40, dtype=torch.float64)
    h[0] = 1
    z = orthogonal_(randn(4000, 40, 40)) @ h
    assert (anderson_darling(z) > 0.752).double().mean().item() == pytest.approx(0.05, abs=0.014)


@pytest.mark.parametrize(
    "draw", [lambda z: z.exp(), torch.sign, lambda z: z**3], ids=["exp", "sign", "cube"]
)
def test_anderson_darling_rejects_what_is_not_gaussian(draw):
    assert anderson_darling(draw(randn(50, 100))).min() > 1.035


def test_anderson_darling_does_not_see_scale_and_place():
    z = randn(5, 40)
    same(anderson_darling(1e3 * z - 7), anderson_darling(z))


def test_the_kurtosis_is_scipys():
    z = randn(5, 40)
    expected = scipy.stats.kurtosis(z.numpy(), axis=-1, fisher=False)
    same(kurtosis(z), torch.from_numpy(expected))


def test_the_kurtosis_of_known_distributions():
    z = randn(1_000_000)
    uniform = torch.linspace(-1, 1, 100_001, dtype=torch.float64)
    assert kurtosis(z).item() == pytest.approx(3, abs=0.03)
    assert kurtosis(z.sign()).item() == pytest.approx(1, abs=1e-3)
    assert kurtosis(uniform).item() == pytest.approx(9 / 5, abs=1e-3)


@pytest.mark.parametrize("build", networks())
def test_every_field_is_its_definition_layer_by_layer(build):
    net, x = build(), randn(B, 5, 3)
    zs = [z.detach() for z in preactivations(net, net.start(x), x)]
    found = signals(net, x)
    for step, z in enumerate(zs):
        slope, a2 = relative_slope(net, z).detach().numpy(), anderson_darling(z)
        for g, units in enumerate(z.unbind(1)):
            a = units.numpy()
            cosine = [
                a[b] @ a[(b + 1) % B] / np.linalg.norm(a[b]) / np.linalg.norm(a[(b + 1) % B])
                for b in range(B)
            ]
            expected = Signals(
                mean=a.mean(),
                q=(a**2).mean(),
                kurtosis=scipy.stats.kurtosis(a, axis=1, fisher=False).mean(),
                normality=a2[:, g].mean().item(),
                rejected=(a2[:, g] > 0.752).double().mean().item(),
                correlation=np.mean(cosine),
                linear=(slope[:, g] >= 0.9).mean(),
                dead=(slope[:, g] < 1e-3).all(0).mean(),
            )
            for field in fields(Signals):
                value = getattr(found, field.name)
                assert value.dtype == torch.float64 and value.shape == (len(zs), z.shape[1])
                wanted = getattr(expected, field.name)
                assert value[step, g].item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_a_linear_orthogonal_network_scales_q_and_keeps_correlations(gain):
    net, x = unbiased(5, 30, "linear", gain), randn(B, 5, 3)
    q = net.start(x).detach().square().mean()
    found = signals(net, x)
    same(found.q[:, 0], torch.stack([gain ** (2 * i) * q for i in range(1, 6)]))
    same(found.correlation, found.correlation[:1].expand(5, 1))


@pytest.mark.parametrize("init", [gaussian_, orthogonal_])
def test_in_a_wide_network_q_follows_the_length_map(init):
    """q_{l+1} = σ_w² E φ(√q_l z)²: Poole et al. 2016, equation 3, by Gauss-Hermite quadrature."""
    net, x = unbiased(6, 1000, "tanh", 1.3, init), 3 * randn(4, 5, 3)
    found = signals(net, x).q[:, 0]
    z, w = np.polynomial.hermite_e.hermegauss(80)
    for before, after in zip(found[:-1].tolist(), found[1:].tolist(), strict=True):
        expected = 1.3**2 * w @ np.tanh(math.sqrt(before) * z) ** 2 / math.sqrt(2 * math.pi)
        assert after == pytest.approx(expected, rel=0.1)


def test_units_of_a_shallow_gaussian_network_look_gaussian():
    found = signals(unbiased(1, 400, "tanh", 1.0, gaussian_), randn(400, 5, 3))
    assert found.rejected.item() < 0.2 and found.kurtosis.item() == pytest.approx(3, abs=0.3)


def test_the_linear_regime_of_piecewise_linear_units_is_where_their_slope_is_1():
    x = randn(B, 5, 3)
    for phi, inside in [("relu", lambda z: z > 0), ("hardtanh", lambda z: z.abs() < 1)]:
        net = small(MLP, depth=2, activation=phi)
        expected = [inside(z).double().mean((0, 2)) for z in preactivations(net, net.start(x), x)]
        same(signals(net, x).linear, torch.stack(expected))


@pytest.mark.parametrize("phi", ["tanh", "erf"])
def test_small_signals_are_in_the_linear_regime_and_large_ones_are_not(phi):
    net, x = unbiased(1, 20, phi), randn(B, 5, 3)
    nn.init.zeros_(net.kernel)
    for value, linear in [(0.0, 1.0), (2.0, 0.0)]:
        nn.init.constant_(net.bias, value)
        assert signals(net, x).linear.item() == linear


@pytest.mark.parametrize("phi", ["tanh", "relu", "hardtanh", "erf"])
def test_a_unit_that_is_shut_for_every_example_is_dead(phi):
    net, x = small(MLP, depth=1, hidden=20, activation=phi), 0.1 * randn(B, 5, 3)
    nn.init.zeros_(net.kernel)
    nn.init.constant_(net.bias, 0.1)
    with torch.no_grad():
        net.bias[0, :3] = -20
    assert signals(net, x).dead.item() == pytest.approx(3 / 20)


def test_a_unit_that_is_open_for_one_example_is_not_dead():
    net, x = small(MLP, depth=1, hidden=20, activation="relu"), randn(200, 5, 3)
    assert signals(net, x).dead.item() == 0 and signals(net, x).linear.item() < 0.9


def test_the_correlation_is_that_of_two_given_inputs():
    net, x, other = unbiased(3, 30, "tanh"), randn(B, 5, 3), randn(B, 5, 3)
    ones = torch.ones(3, 1, B, dtype=torch.float64)
    same(correlations(net, x, x), ones)
    same(correlations(net, x, -x), -ones)
    same(correlations(net, x, other), correlations(net, other, x))
    same(correlations(net, x, x.roll(-1, 0)).mean(-1), signals(net, x).correlation)


@pytest.mark.parametrize(("gain", "ordered"), [(0.8, True), (3.0, False)])
def test_chaos_takes_near_inputs_apart_and_order_brings_them_together(gain, ordered):
    net, x = unbiased(20, 300, "tanh", gain, gaussian_), randn(B, 5, 3)
    nn.init.normal_(net.bias, std=0.3)
    c = correlations(net, x, x + 0.1 * randn(B, 5, 3)).mean(-1)
    assert (c[-1] > c[0]).item() == ordered


def test_a_signal_without_shape_has_none_and_no_made_up_one():
    net = unbiased(1, 10, "tanh")
    nn.init.zeros_(net.kernel)
    found = signals(net, randn(B, 5, 3))
    assert found.q.item() == 0
    for value in (found.kurtosis, found.normality, found.rejected, found.correlation):
        assert value.isnan().all()


@pytest.mark.parametrize("model", [MLP, RNN, LSTM])
def test_a_reparametrised_network_is_measured_as_the_plain_one(model):
    net, x = small(model), randn(B, 5, 3)
    for module, name in net.kernels():
        orthogonal_(getattr(module, name))
    plain = signals(net, x)
    for module, name in net.kernels():
        Lie().attach(module, name)
    for field in fields(Signals):
        same(getattr(signals(net, x), field.name), getattr(plain, field.name))


@pytest.mark.parametrize("model", [MLP, RNN, LSTM])
def test_measuring_changes_nothing(model):
    net, x = small(model).float(), torch.randn(B, 5, 3)
    net(x).sum().backward()
    net.eval()
    state = torch.get_rng_state()
    before = [(p, p.detach().clone(), p.grad, p.grad.clone()) for p in net.parameters()]
    found = signals(net, x)
    correlations(net, x, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training and not found.q.requires_grad
    for p, (own, value, grad, gradient) in zip(net.parameters(), before, strict=True):
        assert p is own and p.grad is grad
        assert torch.equal(p, value) and torch.equal(grad, gradient)
