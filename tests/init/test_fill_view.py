"""Initialisers on blocks of rows and on views: each matrix is filled by itself, and nothing else is touched."""

from functools import partial

import pytest
import torch
from cases import same
from torch import nn

from isogain.init import cayley_, gaussian_, glorot_, henaff_, identity_, orthogonal_

EVERY = [orthogonal_, gaussian_, glorot_, identity_, henaff_, cayley_]
HELD = [orthogonal_, identity_, henaff_, cayley_]
every = pytest.mark.parametrize("init", EVERY)


def empty(*shape, dtype=torch.float64):
    return torch.full(shape, torch.nan, dtype=dtype)


@pytest.mark.parametrize("shape", [(18, 6), (12, 6), (24, 4)])
@pytest.mark.parametrize("init", HELD)
def test_every_block_of_rows_has_all_its_singular_values_at_the_gain(init, shape):
    w = empty(*shape)
    assert init(w, 1.3, blocks=3) is w
    s = torch.linalg.svdvals(w.view(3, -1, shape[1]))
    same(s, torch.full_like(s, 1.3))


@every
def test_blocks_are_a_stack_and_a_view_its_matrices(init):
    draws = []
    for shape, options in [((3, 4, 4), {}), ((12, 4), {"blocks": 3})]:
        torch.manual_seed(1)
        draws.append(init(empty(*shape), 0.7, **options).view(3, 4, 4))
    torch.manual_seed(1)
    draws.append(init(empty(12, 4), 0.7, view=lambda w: w.view(3, 4, 4)).view(3, 4, 4))
    same(draws[1], draws[0])
    same(draws[2], draws[0])


def test_an_option_of_the_initialiser_holds_in_every_block():
    w = glorot_(empty(600, 200), distribution="uniform", blocks=3)
    assert 0.99 < w.abs().max() / (6 / 400) ** 0.5 <= 1
    assert glorot_(empty(600, 200), distribution="normal", blocks=3).abs().max() > (6 / 400) ** 0.5


def test_qkv_are_three_matrices_of_attention():
    attention = nn.MultiheadAttention(8, 2).double()
    orthogonal_(attention.in_proj_weight, 0.9, blocks="qkv")
    s = torch.linalg.svdvals(attention.in_proj_weight.detach().view(3, 8, 8))
    same(s, torch.full_like(s, 0.9))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@every
def test_a_convolution_is_filled_by_its_view_in_any_memory_layout(init, layout):
    conv = nn.Conv2d(4, 8, 3).double().to(memory_format=layout)
    strides = conv.weight.stride()
    init(conv.weight, 1.1, view=lambda w: w.flatten(1))
    assert conv.weight.stride() == strides and conv.weight.is_leaf
    if init in HELD:
        s = torch.linalg.svdvals(conv.weight.detach().flatten(1))
        same(s, torch.full_like(s, 1.1))


def test_a_view_of_a_part_leaves_the_rest():
    w = torch.zeros(6, 10, dtype=torch.float64)
    orthogonal_(w, view=lambda w: w[:4, ::2])
    assert w[:4, ::2].any() and not w[4:].any() and not w[:, 1::2].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_blocks_in_half_precision_are_drawn_in_float32_and_rounded(dtype):
    draws = []
    for kind in (torch.float32, dtype):
        torch.manual_seed(1)
        draws.append(orthogonal_(empty(12, 4, dtype=kind), blocks=3))
    assert torch.equal(draws[0].to(dtype), draws[1])


REFUSED = {
    "indivisible": ((7, 4), {"blocks": 3}, r"^blocks must divide the 7 rows of w, got 3"),
    "none": ((6, 4), {"blocks": 0}, r"^blocks must be a number of stacked matrices"),
    "word": ((6, 4), {"blocks": "kv"}, r"^blocks must be a number of stacked matrices"),
    "stack": ((3, 4, 4), {"blocks": 3}, r"^blocks splits the rows of a matrix \(n, k\), got a st"),
    "both": ((6, 4), {"blocks": 3, "view": lambda w: w}, r"^view and blocks are two ways"),
    "computing": ((4, 4), {"view": lambda w: 2 * w}, r"^view must rearrange entries of w \(4, 4\)"),
    "vector": ((4, 4), {"view": lambda w: w.flatten()}, r"^view must return matrices \(\.\.\., n"),
    "gain": ((6, 4), {"blocks": 3, "gain": -1.0}, r"^gain must be a finite number > 0, got -1"),
}


@pytest.mark.parametrize("case", REFUSED)
@every
def test_what_is_no_split_into_matrices_is_refused_before_anything_is_drawn(init, case):
    shape, options, line = REFUSED[case]
    w, state = torch.zeros(shape), torch.get_rng_state()
    with pytest.raises(ValueError, match=line):
        partial(init, **options)(w)
    assert not w.any() and torch.equal(torch.get_rng_state(), state)
