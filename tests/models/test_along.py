import copy
import random

import numpy
import pytest
import torch
from cases import randn, same
from torch import nn
from torch.utils.checkpoint import checkpoint

from isogain.diagnostics import jacobian_spectrum
from isogain.models.along import along
from isogain.models.mlp import MLP


class Blocks(nn.Module):
    """Residual blocks, with whatever follows from `forward` of a subclass."""

    def __init__(self, depth=3, n=6):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(n, n) for _ in range(depth))

    def forward(self, x):
        for block in self.blocks:
            x = torch.tanh(block(x))
        return x


def plain(*widths):
    """Linear layers and tanh between them."""
    pairs = zip(widths, widths[1:], strict=False)
    return nn.Sequential(*(m for a, b in pairs for m in (nn.Linear(a, b), nn.Tanh())))


def test_states_are_the_outputs_of_the_modules_flattened():
    net, x = (
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Flatten()),
        randn(2, 2, 5, 5),
    )
    states = along(net.double(), ["0", "1"], from_input=True).states(x)
    before = net[0](x)
    for state, expected in zip(states, (x, before.clone(), before.relu()), strict=True):
        same(state, expected.detach().flatten(1))


def test_a_pattern_gives_blocks_in_the_order_of_definition_and_not_what_they_are_made_of():
    net = nn.ModuleDict({"b": nn.ModuleList(plain(2, 2) for _ in range(11))})
    assert along(net, "b.*").names == [f"b.{i}" for i in range(11)]
    assert along(net, [net["b"][3], "b.4"]).names == ["b.3", "b.4"]


class Skipping(Blocks):
    def forward(self, x):
        a, b, c = self.blocks
        first = a(x)
        return c(b(first) + first)


class Cut(Blocks):
    def forward(self, x):
        a, b, c = self.blocks
        return c(b(a(x).detach()))


class Twice(Blocks):
    def forward(self, x):
        a, b, _ = self.blocks
        return b(a(a(x)))


class OverTheBatch(Blocks):
    def forward(self, x):
        a, b, c = self.blocks
        x = a(x)
        return c(b(x - x.mean(0)))


@pytest.mark.parametrize(
    ("model", "names", "reason"),
    [
        (Skipping, "blocks.*", "'blocks.2' depends on that of 'blocks.0' past 'blocks.1'"),
        (Cut, "blocks.*", "'blocks.1' does not depend on that of 'blocks.0'"),
        (Twice, ["blocks.0", "blocks.1"], "'blocks.0' is called 2 times"),
        (Twice, ["blocks.1", "blocks.2"], "'blocks.2' is called 0 times"),
        (Blocks, ["blocks.1", "blocks.0"], "order of the forward pass: blocks.0, blocks.1"),
        (OverTheBatch, "blocks.*", "one example depends on that of 'blocks.0' for another"),
        (Blocks, "block.*", "no module 'block.*'"),
        (Blocks, ["blocks.1", "block.0"], "did you mean 'blocks.0'"),
        (Blocks, ["blocks.0", "blocks.0"], "named twice"),
        (Blocks, ["blocks.0"], "two states or more"),
    ],
)
def test_what_is_no_trajectory_is_refused_in_one_line(model, names, reason):
    with pytest.raises(ValueError, match=reason) as error:
        along(model(), names).states(torch.randn(3, 6))
    assert "\n" not in str(error.value)


def test_past_a_skip_the_end_to_end_spectrum_is_taken_directly():
    net, x = Skipping().double(), randn(2, 6)
    a, b, c = (block.weight.detach() for block in net.blocks)
    expected = torch.linalg.svdvals(c @ (b + torch.eye(6))).log()
    same(jacobian_spectrum(along(net, ["blocks.0", "blocks.2"]), x), expected.expand(2, 6))
    assert a.isfinite().all()


class Hidden(nn.Module):
    """Tensors that are no buffers, counters, a cache, noise: all that a forward pass may touch."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 6)
        self.norm, self.drop = nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.matrix, self.calls, self.cache = torch.randn(6, 6), 0, None
        self.generator, self.fails = torch.Generator().manual_seed(3), False

    def forward(self, x):
        self.calls, self.cache = self.calls + 1, x
        self.seen += 1
        noise = torch.randn(6) + torch.randn(6, generator=self.generator)
        noise = noise + random.random() + numpy.random.rand()
        x = self.drop(self.norm(self.first(x))) @ self.matrix + 0 * noise
        if self.fails:
            raise KeyError("in the forward pass")
        return self.last(x)


@pytest.mark.parametrize("fails", [False, True])
def test_measuring_leaves_the_module_bitwise_as_it_was(fails):
    net, x = Hidden(), torch.randn(4, 6, requires_grad=True)
    net.norm.eval()
    net.last.weight.requires_grad_(False)
    net(x).sum().backward()
    net.fails = fails
    before, attributes = copy.deepcopy(net.state_dict()), dict(vars(net))
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    pointers = [p.data_ptr() for p in net.parameters()]
    modes, wants = [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]
    states = torch.get_rng_state(), net.generator.get_state(), random.getstate()
    numpys = numpy.random.get_state()[1].copy()
    if fails:
        with pytest.raises(KeyError, match="in the forward pass"):
            jacobian_spectrum(along(net, ["first", "last"]), x)
    else:
        jacobian_spectrum(along(net, ["first", "last"]), x)
    assert all(
        torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True)
    )
    assert all(vars(net)[name] is value for name, value in attributes.items())
    for p, grad, at in zip(net.parameters(), grads, pointers, strict=True):
        assert p.data_ptr() == at and (p.grad is grad is None or torch.equal(p.grad, grad))
    assert modes == [m.training for m in net.modules()]
    assert wants == [p.requires_grad for p in net.parameters()]
    assert not any(m._forward_hooks for m in net.modules())
    assert torch.equal(states[0], torch.get_rng_state())
    assert torch.equal(states[1], net.generator.get_state()) and states[2] == random.getstate()
    assert (numpys == numpy.random.get_state()[1]).all()
    assert torch.backends.mha.get_fastpath_enabled() and torch.is_grad_enabled()


class Checkpointed(Blocks):
    def __init__(self, reentrant):
        super().__init__()
        self.reentrant = reentrant

    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(lambda x, b=block: torch.tanh(b(x)), x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_modules_have_the_spectrum_of_plain_ones(reentrant):
    net, x = Checkpointed(reentrant), torch.randn(2, 6)
    other = Blocks()
    other.load_state_dict(net.state_dict())
    expected = jacobian_spectrum(along(other, "blocks.*"), x)
    assert torch.equal(jacobian_spectrum(along(net, "blocks.*"), x), expected)


def test_parametrised_weights_are_measured_as_they_are():
    net, x = Blocks().double(), randn(2, 6)
    for block in net.blocks:
        nn.utils.parametrizations.orthogonal(block)
    found = jacobian_spectrum(along(net, ["blocks.0", "blocks.1"]), x)
    h = torch.tanh(net.blocks[0](x).detach())  # its own slopes lie before the next block
    slopes = torch.diag_embed(1 - h.square())
    same(found, torch.linalg.svdvals(net.blocks[1].weight.detach() @ slopes).log())
    net = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))
    assert len(along(nn.Sequential(net, nn.Tanh()), "*").states(x)) == 2


class Listed(Blocks):
    def __init__(self):
        super().__init__()
        self.matrices = [torch.eye(6)]

    def forward(self, x):
        return super().forward(x) @ self.matrices[0]


class Casting(Blocks):
    def forward(self, x):
        return super().forward(x.float().to(self.blocks[0].weight)).float()


def test_a_tensor_that_no_cast_reaches_is_named_as_the_reason():
    with pytest.raises(ValueError, match="register_buffer"):
        along(Listed(), "blocks.*").states(torch.randn(2, 6))


def test_a_module_that_casts_inside_is_refused():
    net = nn.Sequential(nn.Linear(6, 6), Casting())
    with pytest.raises(ValueError, match="'1' is in torch.float32"):
        along(net, "*").states(torch.randn(2, 6))


def test_tensors_that_disagree_about_the_examples_are_refused_and_shared_ones_are_not():
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True, norm_first=True)
    net, mask = nn.Sequential(layer), torch.zeros(4, 4)
    with pytest.raises(ValueError, match=r"shared=\{name: tensor\}"):
        along(net, ["0"], from_input=True).states({"input": torch.randn(2, 4, 8), "mask": mask})
    path = along(layer, ["norm1", "norm2"], state="first", shared={"src_mask": mask})
    assert [h.shape for h in path.states(torch.randn(2, 4, 8))] == [(2, 32), (2, 32)]


def test_the_examples_may_lie_along_the_second_axis():
    layers = [nn.TransformerEncoderLayer(4, 2, 8, norm_first=True) for _ in range(2)]
    net, x = nn.Sequential(*layers).double(), randn(3, 2, 4)
    first = copy.deepcopy(net)
    for layer in first:
        layer.self_attn.batch_first = True
    expected = jacobian_spectrum(along(first, "*", from_input=True), x.transpose(0, 1))
    found = jacobian_spectrum(along(net, "*", from_input=True, axis=1), x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="must be that of the 3 examples|for another"):
        along(net, "*", from_input=True).states(x)


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList(nn.LSTMCell(3, 4) for _ in range(3))

    def forward(self, x):
        state = None
        for t, cell in enumerate(self.cells):
            state = cell(x[:, t], state)
        return state[0]


def test_of_cells_all_tensors_are_the_state_and_the_first_alone_is_refused():
    net, x = Cells().double(), randn(2, 3, 3)
    with pytest.raises(ValueError, match="state='all'"):
        along(net, "cells.*").states(x)
    h, c = (t.detach() for t in net.cells[0](x[:, 0]))

    def end(state):
        state = net.cells[1](x[0, 1], tuple(state.chunk(2)))
        return torch.cat(net.cells[2](x[0, 2], state))

    expected = torch.func.jacrev(end)(torch.cat([h[0], c[0]]))
    found = jacobian_spectrum(along(net, "cells.*", state="all"), x)[0]
    torch.testing.assert_close(
        found, torch.linalg.svdvals(expected.detach()).log(), rtol=0, atol=1e-9
    )


def test_a_network_of_ours_without_names_is_a_trajectory_itself():
    net = MLP(3, 2)
    assert along(net) is net
    with pytest.raises(ValueError, match="needs the names"):
        along(nn.Linear(2, 2))
