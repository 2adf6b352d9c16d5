import pytest
import torch
from cases import networks, randn, regularizers, same, small

from isogain.diagnostics import gram as gram_file
from isogain.diagnostics.gram import BLOCK, bare, gradients, gram, product, squared_norms
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN


def brute_force(net, x, rows):
    """The gradient of every row by every parameter, one by one, by plain autograd; (R·B, P)."""
    found = []
    for forms in rows:
        for example, s in zip(x, forms, strict=True):
            logits = net.readout(net.trajectory(net.start(example[None]), example[None]))[0]
            gradient = torch.autograd.grad(logits @ s, list(net.parameters()))
            found.append(torch.cat([g.flatten() for g in gradient]))
    return torch.stack(found)


@pytest.mark.parametrize("build", networks())
def test_the_gram_matrix_is_that_of_all_gradients_by_all_parameters(build):
    net, x, rows = build(), randn(4, 5, 3), randn(2, 4, 4)
    g = brute_force(net, x, rows)
    same(gram(net, x, rows), g @ g.mT)


@pytest.mark.parametrize("build", networks())
def test_a_product_through_the_network_is_one_with_the_gram_matrix(build):
    net, x, rows, v = build(), randn(4, 5, 3), randn(2, 4, 4), randn(8, 3)
    same(product(net, x, rows)(v), gram(net, x, rows) @ v)


@pytest.mark.parametrize("build", networks())
def test_the_squared_norms_are_the_diagonal(build):
    net, x, rows = build(), randn(4, 5, 3), randn(2, 4, 4)
    same(squared_norms(net, x, rows).flatten(), gram(net, x, rows).diagonal())


@pytest.mark.parametrize("model", [RNN, LSTM])
def test_formed_gradients_are_the_gradients_up_to_the_order_of_parameters(model):
    net, x, rows = small(model, depth=2), randn(2, 5, 3), randn(3, 2, 4)
    formed = torch.cat(list(gradients(net, x, rows)), 1).flatten(0, 1)
    same(formed.sort(-1).values, brute_force(net, x, rows).sort(-1).values)


@pytest.mark.parametrize("examples", [1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("model", [MLP, RNN])
def test_blocks_of_examples_are_put_together_in_order(model, examples, monkeypatch):
    monkeypatch.setattr(gram_file, "PASSED", 3)
    net, x, rows = small(model), randn(examples, 5, 3), randn(2, examples, 4)
    g, v = brute_force(net, x, rows), randn(2 * examples, 2)
    same(gram(net, x, rows), g @ g.mT)
    same(product(net, x, rows)(v), g @ (g.mT @ v))
    same(squared_norms(net, x, rows).flatten(), g.square().sum(-1))


@pytest.mark.parametrize("reg", regularizers().values(), ids=regularizers())
@pytest.mark.parametrize("model", [MLP, RNN, LSTM])
def test_a_bare_network_has_the_kernels_as_parameters_and_the_original_stays(model, reg):
    net, held = small(model), reg()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name))
        held.attach(module, name)
    before, x = {name: p.clone() for name, p in net.named_parameters()}, randn(2, 5, 3)
    logits, plain = net(x), bare(net)
    same(plain(x), logits)
    same(net(x), logits)
    same(dict(net.named_parameters()), before)
    assert type(plain) is model
    assert all(isinstance(getattr(m, name), torch.nn.Parameter) for m, name in plain.kernels())
