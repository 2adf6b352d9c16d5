import math

import pytest
import torch
from cases import activations, randn, same, small
from torch import nn

from isogain.activations import ACTIVATIONS
from isogain.diagnostics.kernel_labels import kernel_labels
from isogain.models.recurrence import Recurrence
from isogain.models.rnn import RNN

T, B, D, N = 5, 3, 2, 4


def inputs(phi, steps=T, batch=B):
    """(x, U, W, b, β) for `Recurrence`, all with gradient; β is None except for modrelu."""
    shapes = [(steps, batch, D), (N, D), (N, N), (N,)] + [(N,)] * (phi == "modrelu")
    tensors = [randn(*shape).requires_grad_() for shape in shapes]
    return tensors if phi == "modrelu" else [*tensors, None]


def loop(x, u, w, b, beta, phi, last):
    """The recurrence as its formula says it; the gradient is autograd's."""
    h, hs = x.new_zeros(x.shape[1], len(w)), []
    for step in x:
        z = step @ u.mT + h @ w.mT + b
        h = ACTIVATIONS[phi].function(z, *([] if beta is None else [beta]))
        hs.append(h)
    return h if last else torch.stack(hs)


def gradients(out, given):
    return torch.autograd.grad(out.pow(3).sum(), [t for t in given if t is not None])


def torch_rnn(net):
    """torch's RNN with the weights of `net`; its second bias is 0."""
    rnn = nn.RNN(net.n_in, net.hidden, net.depth, net.activation, batch_first=True).double()
    with torch.no_grad():
        for layer, linear in enumerate(net.input):
            getattr(rnn, f"weight_ih_l{layer}").copy_(linear.weight)
            getattr(rnn, f"weight_hh_l{layer}").copy_(net.recurrent[layer])
            getattr(rnn, f"bias_ih_l{layer}").copy_(linear.bias)
            getattr(rnn, f"bias_hh_l{layer}").zero_()
    return rnn


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("phi", activations(RNN))
def test_the_backward_pass_is_the_derivative_of_the_forward_pass(phi, last):
    given = inputs(phi)
    assert torch.autograd.gradcheck(lambda *t: Recurrence.apply(*t, phi, last), given)


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("phi", activations(RNN))
def test_the_recurrence_is_its_loop_in_value_and_gradient(phi, last, batch, steps):
    given = inputs(phi, steps, batch)
    out, expected = Recurrence.apply(*given, phi, last), loop(*given, phi, last)
    same(out, expected)
    found, wanted = gradients(out, given), gradients(expected, given)
    scale = max(g.abs().max().item() for g in wanted)  # products of 9 steps may be large
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12 * max(scale, 1))


def test_the_last_state_is_the_last_of_all_states():
    given = inputs("tanh")
    same(Recurrence.apply(*given, "tanh", True), Recurrence.apply(*given, "tanh", False)[-1])


@pytest.mark.parametrize("last", [True, False])
def test_a_gradient_that_is_an_expanded_scalar_goes_back(last):
    given = inputs("tanh")[:4]
    found = torch.autograd.grad(Recurrence.apply(*given, None, "tanh", last).sum(), given)
    same(found, torch.autograd.grad(loop(*given, None, "tanh", last).sum(), given))


@pytest.mark.parametrize("last", [True, False])
def test_the_recurrence_leaves_its_arguments_as_they_were(last):
    given = inputs("modrelu")
    before = [t.detach().clone() for t in given]
    Recurrence.apply(*given, "modrelu", last).sum().backward()
    assert all(torch.equal(t, b) for t, b in zip(given, before, strict=True))


def test_an_input_stored_batch_first_gives_the_same():
    x, *others = inputs("tanh")
    stored_otherwise = x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    out = Recurrence.apply(stored_otherwise, *others, "tanh", True)
    expected = Recurrence.apply(x, *others, "tanh", True)
    same(out, expected)
    same(gradients(out, [stored_otherwise]), gradients(expected, [x]))


def test_a_backward_pass_can_be_taken_twice():
    given = inputs("tanh")
    out = Recurrence.apply(*given, "tanh", True).sum()
    leaves = given[:4]
    first = torch.autograd.grad(out, leaves, retain_graph=True)
    same(torch.autograd.grad(out, leaves), first)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_it_is_the_rnn_of_torch_with_its_weights(phi, depth):
    net, x = small(RNN, depth=depth, activation=phi), randn(4, 7, 3)
    reference = torch_rnn(net)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits, expected = net(ours), net.output(reference(theirs)[0][:, -1])
    same(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    same(ours.grad, theirs.grad)
    for layer, linear in enumerate(net.input):
        same(linear.weight.grad, getattr(reference, f"weight_ih_l{layer}").grad)
        same(linear.bias.grad, getattr(reference, f"bias_ih_l{layer}").grad)
        same(net.recurrent.grad[layer], getattr(reference, f"weight_hh_l{layer}").grad)


def test_a_state_is_the_layers_side_by_side():
    net, x = small(RNN, depth=2), randn(4, 7, 3)
    hs = torch.stack(net.trajectory(net.start(x), x)[1:], 1)
    reference = torch_rnn(net)
    top, _ = reference(x)
    same(hs[..., 6:], top)
    bottom = small(RNN, depth=1)
    with torch.no_grad():
        bottom.input[0].load_state_dict(net.input[0].state_dict())
        bottom.recurrent.copy_(net.recurrent[:1])
    same(hs[..., :6], torch_rnn(bottom)(x)[0])


def test_it_starts_without_biases_and_modrelu_with_small_ones():
    net = RNN(3, 4, hidden=200, depth=2, activation="modrelu")
    assert not any(linear.bias.any() for linear in net.input)
    assert 0.009 < net.beta.abs().max() <= 0.01
    assert net.beta.shape == (2, 200)


@pytest.mark.parametrize(
    ("kind", "variance"),
    [("uniform", 1 / 3 / 2000), ("kaiming", 2 / 10)],
    ids=["uniform", "kaiming"],
)
def test_the_inputs_weights_have_the_variance_of_their_kind(kind, variance):
    (u,) = RNN(10, 4, hidden=2000, input_init=kind).input
    assert u.weight.var().item() == pytest.approx(variance, rel=0.04)  # 4 standard errors


def test_modrelu_alone_has_a_bias_for_its_threshold():
    assert [phi for phi in activations(RNN) if small(RNN, activation=phi).beta is not None] == [
        "modrelu"
    ]


def test_its_labels_count_the_layers():
    net = small(RNN, depth=2)
    assert kernel_labels(net, "recurrent", net.recurrent) == ["recurrent/000", "recurrent/001"]


@pytest.mark.parametrize("z", [0.5, 3.0, 3.8, 6.0])
@pytest.mark.parametrize("last", [True, False])
def test_the_gradient_of_a_saturated_erf_is_the_gaussian_of_its_argument(z, last):
    """∂h_1/∂b = 2/√π exp(−z²), though float32 rounds erf(z) to within two places of 1."""
    b = torch.full((3,), z).requires_grad_()
    x, zero = torch.zeros(1, 2, 1), torch.zeros(3, 3)
    out = Recurrence.apply(x, torch.zeros(3, 1), zero, b, None, "erf", last)
    expected = torch.full((3,), 2 * 2 / math.sqrt(math.pi) * math.exp(-(z**2)))
    torch.testing.assert_close(torch.autograd.grad(out.sum(), b)[0], expected, rtol=1e-5, atol=0)
