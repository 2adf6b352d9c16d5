import copy
import math

import mpmath
import numpy as np
import pytest
import torch
from cases import randn, same, slow_but, small
from torch import nn

from isogain.data.mnist import SeqMNIST
from isogain.diagnostics import blocks, plain_product
from isogain.diagnostics.jacobian import (
    factor_spectra,
    input_norms,
    jacobian,
    jacobian_spectra,
    jacobian_spectrum,
)
from isogain.diagnostics.plain_product import ROUNDING, least_condition
from isogain.diagnostics.step import pull_, pull_input
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

NETWORKS = {
    "mlp-1": lambda: small(MLP, depth=1),
    "mlp-3": lambda: small(MLP, depth=3, activation="erf"),
    "rnn-1": lambda: small(RNN, depth=1),
    "rnn-2": lambda: small(RNN, depth=2),
    "rnn-modrelu": lambda: small(RNN, depth=1, activation="modrelu"),
    "lstm-1": lambda: small(LSTM, depth=1),
    "lstm-2": lambda: small(LSTM, depth=2),
}
networks = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def brute_force(net, x):
    """∂h_L/∂h_0, example by example, by torch's own functional."""

    def end(h):
        return net.trajectory(h[None], example[None])[-1][0]

    found = []
    for example in x:
        start = net.start(example[None])[0].detach()
        found.append(torch.autograd.functional.jacobian(end, start))
    return torch.stack(found).detach()


def by_autograd(function):
    """What a network without a formula of its own is given."""
    return function.dispatch(object)


def linear(depth, hidden=6, **options):
    return small(MLP, depth=depth, hidden=hidden, activation="linear", **options)


@networks
def test_the_jacobian_is_that_of_brute_force(build):
    net, x = build(), randn(3, 5, 3)
    same(jacobian(net, x), brute_force(net, x))


@networks
def test_the_spectrum_is_the_log_of_numpys_singular_values(build):
    net, x = build(), randn(3, 5, 3)
    expected = np.linalg.svd(brute_force(net, x).numpy(), compute_uv=False)
    found = jacobian_spectrum(net, x)
    same(found.exp(), torch.from_numpy(expected))
    assert (found.diff() <= 0).logical_or(found[:, 1:] == -math.inf).all()


@pytest.mark.parametrize("examples", [1, 4, 5, 11])
def test_any_number_of_examples_is_measured_one_by_one(examples, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", 1)  # so that FEWEST = 4 at once
    net, x = small(RNN), randn(examples, 5, 3)
    same(jacobian(net, x), brute_force(net, x))


def test_the_jacobian_of_an_mlp_is_the_product_of_slopes_and_kernels():
    """Π diag(φ'(z_l)) W_l: Pennington, Schoenholz and Ganguli 2017, equation 2."""
    net, x = small(MLP, depth=3), randn(1, 5, 3)
    h, product = net.start(x)[0].detach(), torch.eye(6, dtype=torch.float64)
    for w, b in zip(net.kernel.detach(), net.bias.detach(), strict=True):
        h = torch.tanh(w @ h + b)
        product = torch.diag(1 - h**2) @ w @ product
    same(jacobian(net, x)[0], product)


def test_the_jacobian_of_an_rnn_is_the_product_over_time():
    net, x = small(RNN, depth=1), randn(1, 5, 3)
    w, product = net.recurrent.detach()[0], torch.eye(6, dtype=torch.float64)
    for h in net.trajectory(net.start(x), x)[1:]:
        product = torch.diag(1 - h.detach()[0] ** 2) @ w @ product
    same(jacobian(net, x)[0], product)


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("depth", [1, 4, 16])
def test_a_deep_linear_orthogonal_network_has_one_singular_value(depth, gain):
    net = linear(depth)
    orthogonal_(net.kernel, gain)
    torch.nn.init.zeros_(net.bias)
    expected = torch.full((3, 6), depth * math.log(gain), dtype=torch.float64)
    same(jacobian_spectrum(net, randn(3, 5, 3)), expected)


@pytest.mark.parametrize("steps", [1, 100])
def test_a_linear_orthogonal_rnn_has_one_singular_value(steps):
    net = small(RNN, depth=1, activation="linear")
    orthogonal_(net.recurrent, 1.1)
    expected = torch.full((2, 6), steps * math.log(1.1), dtype=torch.float64)
    same(jacobian_spectrum(net, randn(2, steps, 3)), expected)


def test_nothing_is_hidden_by_rounding():
    net, s = linear(depth=4, hidden=3), torch.tensor([1.0, 1e-3, 1e-5], dtype=torch.float64)
    with torch.no_grad():
        net.kernel.copy_(torch.diag(s))
    same(jacobian_spectrum(net, randn(2, 5, 3)), (4 * s.log()).expand(2, 3))


def test_a_dead_network_has_no_spectrum():
    net = linear(depth=2)
    torch.nn.init.zeros_(net.kernel)
    assert (jacobian_spectrum(net, randn(2, 5, 3)) == -math.inf).all()


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_a_spectrum_is_far_outside_single_precision(size):
    """1e-60 in every direction is a perfect isometry up to scale, and is measured as one."""
    net = linear(depth=3).float()
    with torch.no_grad():
        net.kernel.copy_(size * torch.eye(6))
    expected = 3 * torch.full((2, 6), size).double().log()
    torch.testing.assert_close(
        jacobian_spectrum(net, torch.randn(2, 5, 3)), expected, rtol=0, atol=1e-6
    )


@networks
def test_the_spectrum_of_a_single_precision_network_is_that_of_its_double(build):
    net, x = build().float(), torch.randn(3, 5, 3)
    expected = jacobian_spectrum(copy.deepcopy(net).double(), x.double())
    found = jacobian_spectrum(net, x)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


@networks
def test_a_network_in_half_precision_is_measured_in_single(build):
    net, x = build().bfloat16(), torch.randn(3, 5, 3)
    found = jacobian_spectra(net, x)
    expected = jacobian_spectra(copy.deepcopy(net).float(), x)
    torch.testing.assert_close(found.logs, expected.logs, rtol=0, atol=0)
    assert next(net.parameters()).dtype == torch.bfloat16


def test_inputs_in_single_precision_do_for_a_network_in_double():
    net, x = small(RNN), torch.randn(3, 5, 3)
    same(jacobian_spectrum(net, x), jacobian_spectrum(net, x.double()))
    same(input_norms(net, x), input_norms(net, x.double()))


def wild(kind, length=60):
    """A network in float32 with a Jacobian far too ill-conditioned for that."""
    net = {
        "mlp": lambda: MLP(3, 4, 5, 12, length),
        "rnn": lambda: RNN(3, 4, length, 12),
        "rnn-2": lambda: RNN(3, 4, length, 6, 2),
        "lstm": lambda: LSTM(3, 4, length, 6),
        "lstm-2": lambda: LSTM(3, 4, length, 3, 2),
    }[kind]()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name), 2.0)
    return net


def exact_logs(net, x, start=0):
    """log σ of the product of the float64 steps' Jacobians, by mpmath."""
    net, x = copy.deepcopy(net).double(), x.double()
    hs = [h.detach() for h in net.trajectory(net.start(x), x)]
    eye = torch.eye(hs[0].shape[-1], dtype=torch.float64).expand(len(x), -1, -1)
    with mpmath.workdps(800):
        found = []
        for example in range(len(x)):
            product = mpmath.eye(hs[0].shape[-1])
            for step in range(start, len(hs) - 1):
                factor = pull_(net, eye.clone(), step, hs, x)[example]
                product = mpmath.matrix(factor.tolist()) * product
            s = mpmath.svd_r(product, compute_uv=False)
            found.append([float(mpmath.log(value)) for value in s])
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("kind", slow_but(["mlp", "rnn", "rnn-2", "lstm", "lstm-2"], 0, 1))
def test_an_ill_conditioned_spectrum_is_exact_where_single_precision_is_lost(kind):
    net, x = wild(kind), torch.randn(2, 60 if kind != "mlp" else 5, 3)
    found = jacobian_spectra(net, x, [0, 30, 59])
    assert found.exact[:, 0].all() and found.logs.shape[1] == 3
    for i, start in enumerate([0, 30]):
        expected = exact_logs(net, x, start)
        torch.testing.assert_close(found.logs[:, i], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "order"),
    [
        (RNN, "rows"),
        (LSTM, "rows"),
        pytest.param(RNN, "pixels", marks=pytest.mark.slow),
        pytest.param(LSTM, "pixels", marks=pytest.mark.slow),
    ],
)
def test_on_real_images_every_logarithm_is_right(order, model):
    data = SeqMNIST(order=order)
    data.load()
    x, _ = data.probe(2)
    net = model(data.n_in, 10, data.length, 6)
    orthogonal_(net.recurrent, 1.5)
    found = jacobian_spectra(net, x)
    expected = exact_logs(net, x)
    known = found.logs[:, 0].isfinite()
    torch.testing.assert_close(found.logs[:, 0][known], expected[known], rtol=1e-6, atol=1e-4)
    if (
        model is LSTM
    ):  # a state of zeros, before the first ink, has h_t = σ(o) c_t exactly: rank n/2
        assert known.sum(1).tolist() == [6, 6]
    else:
        assert known.all()


def test_only_the_ill_conditioned_examples_are_redone():
    net = small(MLP, depth=2, hidden=4).float()
    with torch.no_grad():
        net.kernel.copy_(torch.eye(4))
        net.bias.zero_()
        net.input.bias.zero_()
        net.input.weight.zero_()[0] = 1
    x = 1e-3 * torch.randn(3, 5, 3)
    x[1] = 9.0  # the first unit is at the end of its range, and the others at 0
    found = jacobian_spectra(net, x)
    assert found.exact.flatten().tolist() == [False, False, False]
    with torch.no_grad():
        net.kernel[:, 0, 0] = 9.0
    found = jacobian_spectra(net, x)
    assert found.exact.flatten().tolist() == [False, True, False]
    torch.testing.assert_close(found.logs[:, 0], exact_logs(net, x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("n", [2, 7, 30])
def test_the_condition_is_at_least_its_bound(n):
    a = randn(5, n, n)
    a[1] = torch.linalg.qr(a[1]).Q
    a[2, :, 0] = 0
    bound, s = least_condition(a), torch.linalg.svdvals(a)
    assert (bound <= s[:, 0] / s[:, -1] * (1 + 1e-12)).all()
    assert bound[1] == pytest.approx(1)
    assert bound[2].isinf()


def test_the_plain_product_stops_where_every_example_is_lost_already(monkeypatch):
    net, x = wild("rnn", 320), torch.randn(2, 320, 3)
    steps = []

    def counted(net, rows, step, hs, x):
        if rows.dtype == torch.float32:
            steps.append(step)
        return pull_(net, rows, step, hs, x)

    monkeypatch.setattr(plain_product, "pull_", counted)
    assert jacobian_spectra(net, x, [319, 0]).exact.tolist() == [[False, True], [False, True]]
    assert len(steps) <= 320 // 8


def test_examples_of_different_rank_are_measured_together():
    net, x = small(RNN, hidden=5, activation="relu"), randn(4, 5, 3)
    found = jacobian_spectra(net, x, [3, 0])
    assert found.exact[:, 1].all()
    assert len(found.logs[:, 1].isfinite().sum(1).unique()) > 1
    torch.testing.assert_close(found.logs[:, 1].exp(), torch.linalg.svdvals(brute_force(net, x)))
    for i in range(len(x)):
        alone = jacobian_spectra(net, x[i : i + 1], [3, 0])
        assert torch.equal(alone.exact[0], found.exact[i])
        torch.testing.assert_close(alone.logs[0], found.logs[i], rtol=1e-12, atol=1e-12)


@networks
def test_the_jacobian_from_a_later_start_is_that_of_the_remaining_network(build):
    net, x = build(), randn(3, 5, 3)
    length = len(net.trajectory(net.start(x), x)) - 1
    starts = [length - 1, 0]
    found = jacobian_spectra(net, x, starts).logs
    assert found.shape[:2] == (3, 2)
    torch.testing.assert_close(found[:, 1], jacobian_spectrum(net, x), rtol=0, atol=1e-8)
    last = factor_spectra(net, x, [length - 1])
    torch.testing.assert_close(found[:, 0].exp(), last[:, 0].exp(), rtol=1e-6, atol=1e-12)


@networks
def test_every_step_is_pulled_as_by_autograd(build):
    """The definition is by autograd; what is registered for a network's type is only faster."""
    net, x = build(), randn(3, 5, 3)
    hs = [h.detach() for h in net.trajectory(net.start(x), x)]
    rows = randn(3, 7, hs[0].shape[-1])
    for step in range(len(hs) - 1):
        pulled = pull_(net, rows.clone(), step, hs, x)
        same(pulled, by_autograd(pull_)(net, rows.clone(), step, hs, x))
        if net.sequential:
            same(
                pull_input(net, rows, step, hs, x), by_autograd(pull_input)(net, rows, step, hs, x)
            )


def test_the_jacobian_of_an_lstm_is_that_of_torchs():
    net, x = small(LSTM, hidden=5), randn(2, 7, 3)
    theirs = nn.LSTM(3, 5, batch_first=True).double()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(net.input[0].weight)
        theirs.bias_ih_l0.copy_(net.input[0].bias)
        theirs.weight_hh_l0.copy_(net.recurrent[0].flatten(0, 1))
        theirs.bias_hh_l0.zero_()

    for found, example in zip(jacobian(net, x), x, strict=True):

        def end(state, example=example):
            _, state = theirs(example[None], tuple(state.view(2, 1, 1, 5)))
            return torch.cat(state).flatten()

        start = torch.zeros(10, dtype=torch.float64)
        same(found, torch.autograd.functional.jacobian(end, start))


def test_an_lstm_that_forgets_keeps_its_logarithms_over_784_steps():
    """Without recurrent weights ∂c_T/∂c_0 = σ(f)^784 = 2⁻⁷⁸⁴, zero in float32; ∂/∂h_0 = 0."""
    net, x = LSTM(1, 4, 784, 3, forget_bias=0.0), torch.zeros(2, 784, 1)
    torch.nn.init.zeros_(net.recurrent)
    found = jacobian_spectra(net, x)
    c_to_c = -784 * math.log(2)
    o_and_c = c_to_c + 0.5 * math.log(
        1 + 0.25
    )  # h_T = σ(o) tanh(c_T), with σ(o) = 1/2, follows c_T
    expected = torch.tensor([o_and_c] * 3 + [-math.inf] * 3, dtype=torch.float64)
    assert found.exact.all()
    torch.testing.assert_close(found.logs[:, 0], expected.expand(2, 6), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["rnn", "rnn-2", "lstm", "lstm-2"])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_the_input_norms_are_those_of_autograd(kind, gain):
    net, x = wild(kind, 9).double(), randn(3, 9, 3)
    for module, name in net.kernels():
        orthogonal_(getattr(module, name), gain)
    for example, logs in zip(x, input_norms(net, x), strict=True):

        def end(x):
            return net.trajectory(net.start(x[None]), x[None])[-1][0]

        by_time = torch.autograd.functional.jacobian(end, example)  # (n, T, D)
        same(logs, by_time.norm(dim=(0, 2)).log())


def test_the_input_norms_of_an_orthogonal_linear_rnn_fall_by_the_gain_a_step():
    net = small(RNN, depth=1, activation="linear").float()
    orthogonal_(net.recurrent, 0.5)
    expected = net.input[0].weight.norm().log() + math.log(0.5) * torch.arange(783, -1, -1)
    found = input_norms(net, torch.randn(2, 784, 3))
    torch.testing.assert_close(found, expected.detach().double().expand(2, 784), rtol=0, atol=1e-3)


@networks
def test_the_factors_have_the_singular_values_of_every_step(build):
    net, x = build(), randn(2, 5, 3)
    hs = [h.detach() for h in net.trajectory(net.start(x), x)]
    steps = list(range(len(hs) - 1))
    eye = torch.eye(hs[0].shape[-1], dtype=torch.float64).expand(2, -1, -1)
    found = factor_spectra(net, x, steps)
    for step in steps:
        s = torch.linalg.svdvals(by_autograd(pull_)(net, eye.clone(), step, hs, x))
        torch.testing.assert_close(found[:, step].exp(), s, rtol=1e-9, atol=1e-13)


@networks
def test_measuring_changes_nothing(build):
    net, x = build().float(), torch.randn(3, 5, 3)
    net(x).sum().backward()
    net.eval()
    generator = torch.get_rng_state()
    parameters = [(p, p.detach().clone(), p.grad, p.grad.clone()) for p in net.parameters()]
    jacobian_spectrum(net, x)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not net.training
    for p, (before, value, grad, gradient) in zip(net.parameters(), parameters, strict=True):
        assert p is before and p.grad is grad and p.requires_grad and p.dtype == torch.float32
        assert torch.equal(p, value) and torch.equal(grad, gradient)


def test_it_measures_where_gradients_are_off():
    net, x = small(RNN), randn(2, 5, 3)
    expected = jacobian_spectrum(net, x)
    with torch.no_grad():
        found = jacobian_spectrum(net, x)
    assert torch.equal(found, expected)
    assert not found.requires_grad


def test_a_network_with_nan_is_refused():
    net = small(RNN)
    with torch.no_grad():
        net.recurrent[0, 1, 2] = torch.nan
    with pytest.raises(torch.linalg.LinAlgError):
        jacobian_spectrum(net, randn(2, 5, 3))
