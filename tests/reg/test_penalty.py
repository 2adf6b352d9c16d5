import math

import numpy as np
import pytest
import torch
from cases import SHAPES, matrices, randn, same

from isogain.init import orthogonal_
from isogain.reg.penalty import Penalty


def plain(w, strength, gain, entries=1):
    """The formula on the smaller Gram matrix, for autograd to differentiate."""
    tall = w if w.shape[-2] >= w.shape[-1] else w.mT
    gram = torch.einsum("...ij,...ik->...jk", tall, tall)
    return strength / entries * (gram / gain**2 - torch.eye(gram.shape[-1])).pow(2).sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_penalty_is_a_sum_over_singular_values(shape):
    """‖WᵀW/g² − I‖²_F = Σ (s²/g² − 1)²."""
    w, strength, gain = randn(*shape), 0.3, 0.9
    s = np.linalg.svd(w.numpy(), compute_uv=False)
    expected = torch.tensor(strength * np.sum((s**2 / gain**2 - 1) ** 2))
    same(Penalty(strength, gain).penalty(w), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_penalty_is_a_sum_over_the_entries_of_the_gram_errors(shape):
    w, strength, gain = randn(*shape), 0.3, 0.9
    total = 0.0
    for a in (matrix.numpy() for matrix in matrices(w)):
        vectors = list(a.T if a.shape[0] >= a.shape[1] else a)
        for i, u in enumerate(vectors):
            for j, v in enumerate(vectors):
                total += (math.fsum(u * v) / gain**2 - (i == j)) ** 2
    same(Penalty(strength, gain).penalty(w).item(), strength * total)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_is_the_sum_over_the_entries_of_one_gram_matrix(shape):
    w, m = randn(*shape), min(shape[-2:])
    same(Penalty(0.3, 0.9, "mean").penalty(w), Penalty(0.3, 0.9, "sum").penalty(w) / m**2)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_penalty_of_a_stack_is_the_sum_over_its_matrices(shape):
    w, reg = randn(*shape), Penalty(0.3, 0.9, "mean")
    same(reg.penalty(w), sum(reg.penalty(matrix) for matrix in matrices(w)))


def test_a_wide_matrix_pays_as_its_transpose_and_nothing_for_the_rank_it_cannot_have():
    w, reg = randn(5, 8), Penalty(0.3, 0.9)
    same(reg.penalty(w), reg.penalty(w.mT))
    assert reg.penalty(orthogonal_(w, gain=0.9)) < 1e-28


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_the_derivative_of_the_value(shape, reduction):
    reg = Penalty(strength=0.3, gain=0.9, reduction=reduction)
    assert torch.autograd.gradcheck(reg.penalty, 0.5 * randn(*shape).requires_grad_())


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_that_of_the_plain_formula(shape, reduction):
    w = randn(*shape).requires_grad_()
    entries = min(shape[-2:]) ** 2 if reduction == "mean" else 1
    found = torch.autograd.grad(3 * Penalty(0.3, 0.9, reduction).penalty(w), w)
    same(found, torch.autograd.grad(3 * plain(w, 0.3, 0.9, entries), w))


def test_memory_layout_does_not_matter():
    w = randn(8, 5).mT.requires_grad_()
    found = torch.autograd.grad(Penalty(0.3, 0.9).penalty(w), w)
    same(found, torch.autograd.grad(plain(w, 0.3, 0.9), w))


def test_descent_on_the_penalty_alone_makes_a_weight_orthogonal_at_its_gain():
    w = (0.5 * randn(6, 4)).requires_grad_()
    optimizer, reg = torch.optim.SGD([w], lr=0.1), Penalty(strength=1.0, gain=1.5)
    for _ in range(500):
        optimizer.zero_grad()
        reg.penalty(w).backward()
        optimizer.step()
    same(torch.linalg.svdvals(w.detach()), torch.full((4,), 1.5, dtype=torch.float64))


def test_without_strength_there_is_no_penalty_and_no_gradient():
    w = randn(4, 4).requires_grad_()
    penalty = Penalty(strength=0).penalty(w)
    assert penalty.item() == 0
    assert not torch.autograd.grad(penalty, w)[0].any()


@pytest.mark.parametrize("strength", [-1e-9, math.nan, math.inf])
def test_a_strength_out_of_range_is_refused_by_name(strength):
    with pytest.raises(ValueError, match="^strength must be .*, got"):
        Penalty(strength=strength)
