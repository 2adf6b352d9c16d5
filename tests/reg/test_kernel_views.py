"""A view rearranges entries and nothing else; what it copies is written back to where each entry came from."""

import pytest
import torch
from cases import randn
from torch import nn

from isogain.reg.kernel_views import KernelView, gates_of, kernel_view

VIEWS = {
    "flatten": (lambda w: w.flatten(1), (4, 3, 2, 2)),
    "permuted": (lambda w: w.permute(0, 2, 3, 1).reshape(4, 12), (4, 3, 2, 2)),
    "transposed": (lambda w: w.mT, (5, 3)),
    "part": (lambda w: w[:, ::2], (4, 6)),
    "gathered": (lambda w: w[torch.tensor([3, 1])], (4, 6)),
}


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", VIEWS)
def test_what_is_written_is_what_is_read_and_the_rest_stays(name, memory):
    function, shape = VIEWS[name]
    t = randn(*shape)
    t = t.to(memory_format=memory) if t.dim() == 4 else t
    view, before = KernelView(function, shape), t.clone()
    value = randn(*view.result)
    view.write_(t, value)
    assert torch.equal(view(t), value)
    view.write_(t, view(before).clone())
    assert torch.equal(t, before)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda w: 2 * w, "it (changes|computes)"),
        (lambda w: w.abs() ** 2, "it (changes|computes)"),
        (lambda w: torch.cat([w, w]), "each used once at most"),
        (lambda w: nn.functional.pad(w, (1, 1)), "it computes others"),
        (lambda w: w.flatten(), "view must return matrices"),
        (lambda w: w.view(7, 7), "view fails on"),
    ],
)
def test_a_view_that_does_more_than_rearrange_is_refused(function, reason):
    with pytest.raises(ValueError, match=reason):
        KernelView(function, (4, 6))


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (4, 3, 3)])
def test_a_convolution_without_a_view_is_refused_with_what_to_pass(shape):
    with pytest.raises(ValueError, match=r"pass view=lambda w: w.flatten\(1\) for one matrix 4 x "):
        kernel_view(torch.zeros(shape), "conv.weight")


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [(0, "number of stacked"), ("kqv", "number of stacked"), (5, "must divide the 12 rows")],
)
def test_blocks_that_do_not_fit_are_refused(blocks, reason):
    with pytest.raises(ValueError, match=reason):
        kernel_view(torch.zeros(12, 4), "w", blocks=blocks)
    with pytest.raises(ValueError, match="pass one of them"):
        kernel_view(torch.zeros(12, 4), "w", view=lambda w: w, blocks=3)


def test_a_vector_has_no_matrix():
    with pytest.raises(ValueError, match=r"bias \(3,\) has no matrix"):
        kernel_view(torch.zeros(3), "bias")


@pytest.mark.parametrize(
    ("module", "attribute", "gates"),
    [
        (nn.LSTM(2, 3), "weight_hh_l0", 4),
        (nn.GRU(2, 3), "weight_ih_l0", 3),
        (nn.RNN(2, 3), "weight_hh_l0", 1),
        (nn.LSTMCell(2, 3), "weight_hh", 4),
        (nn.GRUCell(2, 3), "weight_hh", 3),
        (nn.MultiheadAttention(4, 2), "in_proj_weight", 3),
        (nn.LSTM(2, 3, proj_size=2), "weight_hr_l0", 1),
    ],
)
def test_torch_stacks_so_many_gates(module, attribute, gates):
    assert gates_of(module, attribute) == gates
