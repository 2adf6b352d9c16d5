"""The law of a network that answers at every step: each answer is that to the sequence up to there."""

import pytest
import torch
from cases import networks, randn, same

BUILDS = [case for case in networks() if case.values[0].args[0].func.sequential]


def per_step(net):
    net.per_step = True
    return net


@pytest.mark.parametrize("build", BUILDS)
def test_the_answer_at_a_step_is_that_to_the_sequence_up_to_there(build):
    net, x = build(), randn(3, 5, 3)
    expected = [net(x[:, : t + 1]) for t in range(5)]
    same(per_step(net)(x), torch.stack(expected, 1))


@pytest.mark.parametrize("build", BUILDS)
def test_forward_is_the_readout_of_the_trajectory_in_value_and_gradient(build):
    net = build(per_step=True)
    x, form = randn(3, 5, 3).requires_grad_(), randn(3, 5, 4)
    ways = [net(x), net.readout(net.trajectory(net.start(x), x))]
    values = [(y, *torch.autograd.grad((y * form).sum(), [x, *net.parameters()])) for y in ways]
    same(*values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore:RNN module weights")  # not one chunk: cuDNN copies them
@pytest.mark.parametrize("build", BUILDS)
def test_a_gpu_answers_as_a_cpu_does(build):
    net, x = build(per_step=True), randn(3, 5, 3)
    expected = net(x)
    torch.testing.assert_close(net.cuda()(x.cuda()).cpu(), expected, rtol=1e-9, atol=1e-10)
