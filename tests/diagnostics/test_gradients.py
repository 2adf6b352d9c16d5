import numpy as np
import pytest
import torch
from cases import networks, randn, same, small
from torch.nn.functional import cross_entropy

from isogain.diagnostics.gradients import (
    gradient_norms,
    gradient_ratios,
    signal_gradient_norms,
)
from isogain.diagnostics.kernel_labels import kernel_labels
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN


def after_backward(net):
    net(randn(3, 5, 3)).square().sum().backward()
    return net


@pytest.mark.parametrize("build", networks())
def test_the_norms_squared_add_up_to_that_of_the_whole_gradient(build):
    net = after_backward(build())
    total = torch.nn.utils.get_total_norm([p.grad for p in net.parameters()]).item()
    same(np.linalg.norm(list(gradient_norms(net).values())).item(), total)


@pytest.mark.parametrize("build", networks())
def test_every_matrix_of_a_kernel_has_its_own_norm(build):
    net = after_backward(build())
    norms = gradient_norms(net)
    for module, name in net.kernels():
        w = getattr(module, name)
        gradients = w.grad.reshape(-1, *w.shape[-2:]).numpy()
        for label, gradient in zip(kernel_labels(net, name, w), gradients, strict=True):
            same(norms[label], np.sqrt((gradient**2).sum()).item())


def test_parameters_are_named_by_their_place():
    assert set(gradient_norms(after_backward(small(MLP, depth=2)))) == {
        "input/weight",
        "input/bias",
        "kernel/000",
        "kernel/001",
        "bias",
        "output/weight",
        "output/bias",
    }
    assert {"recurrent/000/i", "recurrent/000/f", "recurrent/000/g", "recurrent/000/o"} < set(
        gradient_norms(after_backward(small(LSTM)))
    )


def test_a_parameter_without_gradient_is_absent():
    net = after_backward(small(RNN))
    net.recurrent.grad = net.output.bias.grad = None
    assert set(gradient_norms(net)) == {"input/0/weight", "input/0/bias", "output/weight"}


def test_before_a_backward_pass_there_is_nothing():
    assert gradient_norms(small(RNN)) == {}


@pytest.mark.parametrize("build", networks())
def test_the_ratios_are_of_the_gradient_to_the_weight(build):
    net = after_backward(build())
    ratios, norms = gradient_ratios(net), gradient_norms(net)
    with torch.no_grad():
        for p in net.parameters():
            p.grad.copy_(p)
    weights = gradient_norms(net)
    same(ratios, {name: norm / weights[name] for name, norm in norms.items()})


def test_a_weight_of_zero_has_no_ratio():
    net = after_backward(small(RNN))
    torch.nn.init.zeros_(net.output.bias)
    assert gradient_norms(net).keys() - gradient_ratios(net).keys() == {"output/bias"}


@pytest.mark.parametrize("build", networks())
def test_the_signals_gradient_is_what_a_small_change_of_the_signal_does_to_the_loss(build):
    """Against autograd from h_step on: the trajectory of the remaining network, example by example."""
    net, x, y = build(), randn(3, 5, 3), torch.tensor([0, 3, 1])
    found = signal_gradient_norms(net, x, y, cross_entropy)
    hs = [h.detach() for h in net.trajectory(net.start(x), x)]
    assert found.shape == (3, len(hs))
    for step, h in enumerate(hs[: -1 if net.sequential else 1]):
        for i in range(3):
            h_step = h[i : i + 1].clone().requires_grad_()
            rest = x[i : i + 1, step:] if net.sequential else x[i : i + 1]
            loss = cross_entropy(net.readout(net.trajectory(h_step, rest)), y[i : i + 1])
            (grad,) = torch.autograd.grad(loss, h_step)
            same(found[i, step].exp(), grad.norm())


def test_in_an_orthogonal_linear_rnn_the_gradient_grows_by_the_gain_a_step_back():
    net = small(RNN, depth=1, activation="linear").float()
    orthogonal_(net.recurrent, 0.1)
    logs = signal_gradient_norms(net, torch.randn(2, 300, 3), torch.tensor([1, 2]), cross_entropy)
    expected = logs[:, -1:] + np.log(0.1) * torch.arange(300, -1, -1)
    torch.testing.assert_close(logs, expected, rtol=0, atol=1e-4)  # the gain is float32's
    assert logs.min() < np.log(1e-290)


def test_the_signals_gradient_leaves_the_parameters_gradients_alone():
    net = after_backward(small(RNN).float().double())
    before = [p.grad.clone() for p in net.parameters()]
    signal_gradient_norms(net, randn(3, 5, 3), torch.tensor([0, 3, 1]), cross_entropy)
    assert all(torch.equal(p.grad, b) for p, b in zip(net.parameters(), before, strict=True))
    assert all(p.requires_grad for p in net.parameters())
