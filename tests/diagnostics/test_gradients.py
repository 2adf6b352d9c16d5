import numpy as np
import pytest
import torch
from cases import networks, randn, same, small

from isogain.diagnostics.gradients import gradient_norms
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
        for label, gradient in zip(net.labels(name, w), gradients, strict=True):
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
