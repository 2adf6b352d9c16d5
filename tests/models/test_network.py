"""The contract of every model in conf/model, with every activation, one and two layers deep."""

import copy
from functools import partial

import pytest
import torch
from cases import networks, parts, randn, same, small

from isogain.activations import ACTIVATIONS
from isogain.diagnostics.preactivations import preactivations, relative_slope
from isogain.models.lstm import LSTM
from isogain.testing import network_contract

CLAUSES = [
    pytest.param(clause, id=f"{case.id}-{clause.name}")
    for case in networks()
    for clause in network_contract(partial(*case.values[0].args, **case.values[0].keywords))
]


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_network_of_conf_keeps_its_contract(clause):
    clause()


def logits_and_gradients(net, logits, x):
    """Logits, and the gradients of a fixed linear form of them by the input and every parameter."""
    x = x.clone().requires_grad_()
    out = logits(x)
    form = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view_as(out)
    return out.detach(), *torch.autograd.grad((out * form).sum(), [x, *net.parameters()])


def gates(net, z):
    """i, f, g, o of every layer, each (B, depth, N)."""
    return z.unflatten(1, (net.depth, 4)).unbind(2)


def state_after(net, h, z):
    """The state that the network's definition makes of the one before and the pre-activations."""
    if isinstance(net, LSTM):
        c, (i, f, g, o) = h.unflatten(-1, (net.depth, 2, -1))[:, :, 1], gates(net, z)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.stack([torch.sigmoid(o) * torch.tanh(c), c], 2).flatten(1)
    return elementwise(net, z).flatten(1)


def elementwise(net, z):
    """The network's non-linearities, applied to pre-activations (B, G, N)."""
    if isinstance(net, LSTM):
        i, f, g, o = gates(net, z)
        found = [torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)]
        return torch.stack(found, 2).flatten(1, 2)
    beta = [net.beta] if net.activation == "modrelu" else []
    return ACTIVATIONS[net.activation].function(z, *beta)


@pytest.mark.parametrize("build", networks())
def test_every_state_follows_from_its_preactivations(build):
    net, x = build(), randn(3, 5, 3)
    hs, zs = net.trajectory(net.start(x), x), preactivations(net, net.start(x), x)
    same([state_after(net, h, z) for h, z in zip(hs[:-1], zs, strict=True)], hs[1:])


@pytest.mark.parametrize("build", networks())
def test_the_relative_slope_is_the_derivative_over_its_largest_value(build):
    net, x = build(), randn(3, 5, 3)
    z = preactivations(net, net.start(x), x)[-1].detach().requires_grad_()
    grid = torch.linspace(-5, 5, 2001, dtype=torch.float64)[:, None, None].expand(-1, *z.shape[1:])
    dense = grid.contiguous().requires_grad_()
    derivative, all_ = (torch.autograd.grad(elementwise(net, s).sum(), s)[0] for s in (z, dense))
    torch.testing.assert_close(
        relative_slope(net, z), derivative / all_.amax(0), rtol=1e-6, atol=1e-9
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore:RNN module weights")  # not one chunk: cuDNN copies them
@pytest.mark.parametrize("build", networks())
def test_a_gpu_computes_what_a_cpu_computes(build):
    net, x = build(), randn(3, 5, 3)
    on_gpu = copy.deepcopy(net).cuda()
    found = logits_and_gradients(on_gpu, on_gpu, x.cuda())
    expected = logits_and_gradients(net, net, x)
    torch.testing.assert_close([t.cpu() for t in found], list(expected), rtol=1e-9, atol=1e-10)


def test_small_networks_have_biases_that_matter():
    """Else the laws above would not see a bias that is left out."""
    for model in parts("model").values():
        assert all(p.abs().max() > 0.1 for p in small(model).parameters())
