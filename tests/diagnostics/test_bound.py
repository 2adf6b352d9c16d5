import pytest
import torch
from cases import activations, randn, same, small
from torch import nn

from isogain.diagnostics.bound import fisher_bound
from isogain.diagnostics.fisher import fisher_eigenvalues
from isogain.diagnostics.preactivations import preactivations
from isogain.init import gaussian_, orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

B = 12


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def network(gain, depth, phi="tanh", init=orthogonal_):
    """Without biases, an isometry from the last hidden layer out."""
    net = small(MLP, depth=depth, hidden=20, activation=phi)
    init(net.kernel, gain)
    orthogonal_(net.output.weight)
    for bias in (net.input.bias, net.bias, net.output.bias):
        nn.init.zeros_(bias)
    return net


def terms(net, x, loss):
    """E σ_max(J_α), E σ_max(J_1)² and E λ_max(H), by autograd, one example and one layer at a time."""
    sigmas, hessians = [], []
    for example in x:
        h = net.start(example[None])
        z = [
            net.input(example.flatten()),
            *(z[0, 0] for z in preactivations(net, h, example[None])),
        ]

        def end(z, layer):
            for w, b in zip(net.kernel[layer:], net.bias[layer:], strict=True):
                z = w @ net.phi(z) + b
            return net.output(net.phi(z))

        jacobians = [
            torch.autograd.functional.jacobian(lambda z, i=i: end(z, i), s.detach())
            for i, s in enumerate(z)
        ]
        sigmas.append([torch.linalg.matrix_norm(j, 2).item() for j in jacobians] + [1.0])
        p = net(example[None])[0].softmax(-1)
        hessian = torch.diag(p) - torch.outer(p, p) if loss == "cross_entropy" else torch.eye(4)
        hessians.append(torch.linalg.matrix_norm(hessian, 2).item())
    return doubles(sigmas).mean(0), doubles(sigmas)[:, 0].square().mean(), doubles(hessians).mean()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize(("mean", "row"), [(0.0, "b"), (1.0, "W")])
def test_every_term_is_that_of_the_paper(mean, row, loss):
    net, x = small(MLP, depth=3), 0.1 * randn(B, 5, 3) + mean
    found, (s, square, h) = fisher_bound(net, x, loss), terms(net, x, loss)
    hs = net.trajectory(net.start(x), x)
    m = torch.linalg.vector_norm(x.flatten(1).mean(0)).item()
    f = torch.stack([a.detach().mean().abs() * 6**0.5 for a in hs])
    scale = 1.0 if row == "b" else m
    norm = torch.linalg.eigvalsh(x.flatten(1).mT @ x.flatten(1) / B)[-1].item()
    assert found.row == row
    assert found.inputs == pytest.approx(m)
    assert found.hessian == pytest.approx(h.item())
    same(found.jacobians, s)
    same(found.signals, f)
    assert found.diagonal == pytest.approx((h * square).item() * (1.0 if row == "b" else norm))
    assert found.partner == pytest.approx((h * square).item() * m)
    same(found.biases, scale * s[0] * h * s[1:])
    same(found.weights, scale * f * s[0] * h * s[1:])
    whole = found.diagonal + found.partner + found.biases.sum() + found.weights.sum()
    assert found.bound == pytest.approx(whole.item())


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_the_jacobians_of_a_deep_linear_orthogonal_network_are_powers_of_its_gain(gain):
    found = fisher_bound(network(gain, 6, "linear"), randn(B, 5, 3), "squared")
    same(found.jacobians, doubles([gain**i for i in range(6, -1, -1)] + [1.0]))
    assert found.hessian == pytest.approx(1)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_the_measured_value_is_the_exact_fishers(loss):
    net, x = small(MLP), randn(B, 5, 3)
    y = torch.zeros(B, dtype=torch.int64) if loss == "cross_entropy" else randn(B, 4)
    assert fisher_bound(net, x, loss).measured == pytest.approx(
        fisher_eigenvalues(net, x, y, loss=loss).item()
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("gain", [1.0, 1.1])
@pytest.mark.parametrize("depth", [2, 10, 30])
def test_it_bounds_where_its_assumptions_hold(depth, gain, loss):
    """Small signals of mean zero, Jacobians that grow towards the input (assumption 2)."""
    net, x = network(gain, depth, "linear"), 1e-3 * randn(B, 5, 3)
    found = fisher_bound(net, torch.cat([x, -x]), loss)
    assert found.row == "b" and found.measured * (1 - 1e-12) <= found.bound < 2 * found.measured


@pytest.mark.parametrize("depth", [2, 10, 30])
def test_it_is_reached_at_isometry(depth):
    """Each of the depth + 2 biases adds an identity to the tangent kernel of the outputs."""
    net, x = network(1.0, depth, "linear"), 1e-9 * randn(B, 5, 3)
    found = fisher_bound(net, torch.cat([x, -x]), "squared")
    assert (found.measured, found.bound) == (pytest.approx(depth + 2), pytest.approx(depth + 2))


def test_it_does_not_bound_where_jacobians_shrink_towards_the_input():
    """Then the last layer's row is the largest, and the theorem takes the first."""
    found = fisher_bound(network(0.8, 20, "linear"), 1e-3 * randn(B, 5, 3), "squared")
    assert found.bound < found.measured


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("phi", activations(MLP))
@pytest.mark.parametrize("init", [gaussian_, orthogonal_])
def test_the_sure_bound_holds_for_every_network(init, phi, scale, loss):
    for gain in (0.8, 1.0, 1.3):
        net = small(MLP, depth=5, activation=phi)
        init(net.kernel, gain)
        found = fisher_bound(net, scale * randn(B, 5, 3), loss)
        assert found.measured <= found.sure * (1 + 1e-12)


def test_the_sure_bound_is_reached_by_one_example_of_one_output():
    net, x = small(MLP, depth=1, n_out=1), randn(1, 5, 3)
    for p in (net.input.weight, net.input.bias):
        nn.init.zeros_(p)
    found = fisher_bound(net, x, "squared")
    assert found.measured == pytest.approx(found.sure)


@pytest.mark.parametrize("model", [RNN, LSTM])
def test_a_recurrent_network_is_refused(model):
    with pytest.raises(ValueError, match="feed-forward"):
        fisher_bound(small(model), randn(B, 5, 3))
