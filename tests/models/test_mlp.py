import pytest
import torch
from cases import randn, same, small
from torch import nn

from isogain.diagnostics.kernel_labels import kernel_labels
from isogain.models.mlp import MLP

TORCH = {"linear": nn.Identity, "tanh": nn.Tanh, "relu": nn.ReLU, "hardtanh": nn.Hardtanh}


def sequential(net, phi):
    """The same network of torch's own layers."""
    layers = [nn.Linear(15, 6), phi()]
    for _ in range(net.depth):
        layers += [nn.Linear(6, 6), phi()]
    return nn.Sequential(*layers, nn.Linear(6, 4)).double()


def weights_and_biases(net, values):
    """`values` of the parameters in the order of `sequential`."""
    w_in, b_in, w, b, w_out, b_out = (
        values[name]
        for name in [
            "input.weight",
            "input.bias",
            "kernel",
            "bias",
            "output.weight",
            "output.bias",
        ]
    )
    hidden = [tensor for pair in zip(w, b, strict=True) for tensor in pair]
    return [w_in, b_in, *hidden, w_out, b_out]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("phi", TORCH)
def test_it_is_the_sequence_of_torch_layers_with_its_weights(phi, depth):
    net, x = small(MLP, depth=depth, activation=phi), randn(7, 15)
    reference = sequential(net, TORCH[phi])
    with torch.no_grad():
        for p, value in zip(
            reference.parameters(),
            weights_and_biases(net, dict(net.named_parameters())),
            strict=True,
        ):
            p.copy_(value)
    same(net(x), reference(x))
    net(x).square().sum().backward()
    reference(x).square().sum().backward()
    found = weights_and_biases(net, {name: p.grad for name, p in net.named_parameters()})
    same(found, [p.grad for p in reference.parameters()])


def test_a_sequence_is_read_as_its_steps_side_by_side():
    net, x = small(MLP), randn(2, 5, 3)
    same(net(x), net(torch.cat(x.unbind(1), -1)))


def test_it_starts_with_gaussian_kernels_and_without_hidden_biases():
    net = MLP(3, 4, hidden=200, depth=4)
    assert not net.bias.any()
    assert net.kernel.var().item() == pytest.approx(1 / 200, rel=0.02)


def test_its_labels_count_the_layers():
    net = small(MLP, depth=3)
    assert kernel_labels(net, "kernel", net.kernel) == ["kernel/000", "kernel/001", "kernel/002"]
