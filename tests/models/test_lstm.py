import pytest
import torch
from cases import matrices, randn, same, small
from torch import nn

from isogain.diagnostics.kernel_labels import kernel_labels
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM


def torch_lstm(net):
    """torch's LSTM with the weights of `net`; its second bias is 0."""
    lstm = nn.LSTM(net.n_in, net.hidden, net.depth, batch_first=True).double()
    with torch.no_grad():
        for layer, linear in enumerate(net.input):
            getattr(lstm, f"weight_ih_l{layer}").copy_(linear.weight)
            getattr(lstm, f"weight_hh_l{layer}").copy_(torch.cat(list(net.recurrent[layer])))
            getattr(lstm, f"bias_ih_l{layer}").copy_(linear.bias)
            getattr(lstm, f"bias_hh_l{layer}").zero_()
    return lstm


@pytest.mark.parametrize("path", ["forward", "trajectory"])
@pytest.mark.parametrize("depth", [1, 2])
def test_it_is_the_lstm_of_torch_with_its_weights(depth, path):
    net, x = small(LSTM, depth=depth), randn(4, 7, 3)
    reference = torch_lstm(net)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    plain = path == "trajectory"
    logits = net.readout(net.trajectory(net.start(ours), ours)) if plain else net(ours)
    expected = net.output(reference(theirs)[0][:, -1])
    same(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    same(ours.grad, theirs.grad)
    for layer, linear in enumerate(net.input):
        same(linear.weight.grad, getattr(reference, f"weight_ih_l{layer}").grad)
        same(linear.bias.grad, getattr(reference, f"bias_ih_l{layer}").grad)
        gates = torch.cat(list(net.recurrent.grad[layer]))
        same(gates, getattr(reference, f"weight_hh_l{layer}").grad)


def test_a_state_is_h_and_c_of_every_layer():
    net, x = small(LSTM, depth=2), randn(4, 7, 3)
    last = net.trajectory(net.start(x), x)[-1]
    _, (h, c) = torch_lstm(net)(x)
    same(last, torch.cat([h[0], c[0], h[1], c[1]], -1))


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, -2.5])
def test_its_biases_start_at_0_and_the_forget_gate_at_its_own(forget_bias):
    net = LSTM(3, 4, hidden=5, depth=2, forget_bias=forget_bias)
    expected = torch.tensor([0, forget_bias, 0, 0]).repeat_interleave(5)
    assert all(torch.equal(linear.bias, expected) for linear in net.input)


def test_its_gates_are_separate_orthogonal_matrices():
    net = small(LSTM, depth=2)
    gates = list(matrices(orthogonal_(net.recurrent)))
    assert len(gates) == 8
    for gate in gates:
        same(gate.mT @ gate, torch.eye(6, dtype=torch.float64))


def test_its_labels_name_layer_and_gate_in_torchs_order():
    net = small(LSTM, depth=2)
    assert kernel_labels(net, "recurrent", net.recurrent) == [
        f"recurrent/{layer}/{gate}" for layer in ("000", "001") for gate in "ifgo"
    ]
