"""The contract of every model in conf/model, with every activation, one and two layers deep."""

import copy

import pytest
import torch
from cases import networks, parts, randn, same, small

from isogain.activations import ACTIVATIONS
from isogain.diagnostics.kernel_labels import kernel_labels
from isogain.diagnostics.preactivations import preactivations, relative_slope
from isogain.models.lstm import LSTM

RECURRENT = [case for case in networks() if case.values[0].args[0].func.sequential]


def logits_and_gradients(net, logits, x):
    """Logits, and the gradients of a fixed linear form of them by the input and every parameter."""
    x = x.clone().requires_grad_()
    out = logits(x)
    form = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view_as(out)
    return out.detach(), *torch.autograd.grad((out * form).sum(), [x, *net.parameters()])


def plainly(net):
    return lambda x: net.readout(net.trajectory(net.start(x), x))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("build", networks())
def test_forward_is_the_readout_of_the_trajectory_in_value_and_gradient(build, length, batch):
    net = build(length=length)
    x = randn(batch, length, net.n_in)
    same(logits_and_gradients(net, net, x), logits_and_gradients(net, plainly(net), x))


@pytest.mark.parametrize("build", networks())
def test_forward_keeps_its_value_in_evaluation_and_without_gradient(build):
    net, x = build(), randn(3, 5, 3)
    expected = net(x).detach()
    with torch.no_grad():
        same(net.eval()(x), expected)
    with torch.inference_mode():
        same(net(x), expected)


@pytest.mark.parametrize("build", networks())
def test_examples_do_not_see_each_other(build):
    net, x = build(), randn(3, 5, 3)
    same(net(x), torch.cat([net(example) for example in x.split(1)]))


@pytest.mark.parametrize("build", networks())
def test_memory_layout_of_the_input_does_not_matter(build):
    net, x = build(), randn(3, 5, 3)
    stored_otherwise = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    same(net(stored_otherwise), net(x))


@pytest.mark.parametrize("build", networks())
def test_a_trajectory_begins_where_it_is_told_to_and_keeps_its_shape(build):
    net, x = build(), randn(3, 5, 3)
    start = net.start(x)
    h = randn(*start.shape)
    hs = net.trajectory(h, x)
    assert hs[0] is h
    assert {state.shape for state in hs} == {start.shape}
    assert len(hs) == 1 + (x.shape[1] if net.sequential else net.depth)
    assert net.readout(hs).shape == (3, 4)


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


@pytest.mark.parametrize("build", RECURRENT)
def test_a_recurrent_trajectory_can_be_cut_and_taken_up_again(build):
    net, x = build(), randn(3, 5, 3)
    whole = net.trajectory(net.start(x), x)
    first = net.trajectory(net.start(x), x[:, :2])
    same(first[:-1] + net.trajectory(first[-1], x[:, 2:]), whole)


@pytest.mark.parametrize("build", RECURRENT)
def test_a_recurrent_network_works_at_another_length(build):
    net = build(length=5)
    x = randn(2, 9, net.n_in)
    same(net(x), plainly(net)(x))


@pytest.mark.parametrize("build", networks())
def test_kernels_are_parameters_of_two_axes_or_more(build):
    net = build()
    parameters = {id(p) for p in net.parameters()}
    for module, name in net.kernels():
        w = getattr(module, name)
        assert id(w) in parameters and w.ndim >= 2


@pytest.mark.parametrize("build", networks())
def test_every_matrix_has_a_label_of_its_own(build):
    net = build()
    for module, name in net.kernels():
        w = getattr(module, name)
        labels = kernel_labels(net, name, w)
        assert len(set(labels)) == len(labels) == w[..., 0, 0].numel()


@pytest.mark.parametrize("option", ["hidden", "depth"])
@pytest.mark.parametrize("model", parts("model").values(), ids=parts("model"))
def test_a_size_below_1_is_refused_by_name(model, option):
    with pytest.raises(ValueError, match=rf"^{option} must be .*, got 0$"):
        model(n_in=3, n_out=4, length=5, **{option: 0})


@pytest.mark.parametrize("model", parts("model").values(), ids=parts("model"))
def test_a_network_can_be_built_without_memory(model):
    with torch.device("meta"):
        net = model(n_in=3, n_out=4, length=5)
    assert all(p.is_meta for p in net.parameters())


@pytest.mark.parametrize("model", parts("model").values(), ids=parts("model"))
def test_a_fresh_network_is_finite_and_in_single_precision(model):
    net = model(n_in=3, n_out=4, length=5)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in net.parameters())
    assert net(torch.randn(2, 5, 3)).isfinite().all()


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
