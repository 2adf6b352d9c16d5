"""Every conf/reg/*.yaml, and docs/extending.md's example, keeps the contract of a regulariser at its four moments."""

from functools import partial

import pytest
import torch
from cases import (
    OPTIMIZERS,
    SGD,
    SHAPES,
    Kernel,
    extending_regularizer,
    part,
    randn,
    regularizers,
    train_step,
)

from isogain.init import orthogonal_
from isogain.optim import kernel_parameters
from isogain.reg.base import Regularizer
from isogain.testing.contract_of_regularizers import moment_contract
from isogain.testing.regularizer_case import RegularizerCase

GAIN = 1.2
SLOPED = {"mc", "srip"}  # largest absolute values, whose slope does not vanish at their minimum
BUILDERS = {
    **regularizers(GAIN),
    "manifold-learned": part("reg", "manifold", "learned", _partial_=True),
    "oblique-learned": part("reg", "oblique", "learned", _partial_=True),
    "extending": partial(extending_regularizer(), gain=GAIN),
}


def rank_one(shape):
    """g·1uᵀ with ‖u‖ = 1, where (WWᵀ/g² − 1)² is 0."""
    u = randn(*shape[:-2], 1, shape[-1])
    return GAIN * u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).expand(shape)


def rows_of_one_norm(shape):
    w = randn(*shape)
    return GAIN * w / torch.linalg.vector_norm(w, dim=-1, keepdim=True)


OTHER_TARGETS = {
    "notebook": rank_one,  # has the scalar 1 where orthogonality has I
    "oblique": rows_of_one_norm,
    "oblique-learned": rows_of_one_norm,
}
CLAUSES = [
    pytest.param(clause, id=f"{name}-{clause.name}")
    for name, build in BUILDERS.items()
    for clause in moment_contract(
        build,
        target=OTHER_TARGETS.get(name),
        smooth=name not in SLOPED,
    )
]


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_regulariser_of_conf_keeps_its_contract(clause):
    clause()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", sorted(SLOPED))
def test_a_penalty_that_is_not_smooth_at_its_minimum_leaves_it_by_its_slope_at_most(name, shape):
    """A largest entry or eigenvalue of WᵀW/g² has a (sub)gradient of norm 2/g at most where W is g times orthogonal."""
    reg, kernel = BUILDERS[name](), Kernel(orthogonal_(randn(*shape), gain=GAIN))
    reg.attach(kernel, "w")
    start, leaves = kernel.w.detach().clone(), list(kernel_parameters(kernel))
    optimizer = torch.optim.SGD(leaves, lr=1.0)
    train_step(reg, optimizer, kernel.w, lambda w: 0 * w.sum(), leaves)
    moved = torch.linalg.matrix_norm(kernel.w.detach() - start)
    assert (moved <= 2 * reg.strength / GAIN * (1 + 1e-12)).all()


@pytest.mark.parametrize("build", OPTIMIZERS)
def test_none_leaves_the_optimiser_to_itself(build):
    regularised, alone = (torch.full((4, 3), 0.5, requires_grad=True) for _ in range(2))
    ours, theirs, target = build([regularised]), build([alone]), torch.randn(4, 3)
    for _ in range(3):
        train_step(Regularizer(), ours, regularised, lambda w: (w - target).square().sum())
        theirs.zero_grad()
        (alone - target).square().sum().backward()
        theirs.step()
    assert torch.equal(regularised, alone)


def test_the_regulariser_without_options_takes_any_kernel_and_adds_nothing():
    w = randn(3, 2).requires_grad_()
    train_step(Regularizer(), SGD([w]), w, lambda w: w.sum())
    assert Regularizer().penalty(w).item() == 0


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (3, 5, 8)])
@pytest.mark.parametrize("name", [n for n in BUILDERS if not BUILDERS[n]().reparametrizes])
def test_the_state_is_edited_only_where_the_regulariser_may(name, shape):
    case = RegularizerCase(BUILDERS[name], OTHER_TARGETS.get(name))
    reg, kernel, _ = case.attached(case.at_target(shape))
    reg.bind(torch.optim.SGD([kernel.w], lr=0.1))
    kernel.w.grad, momentum = randn(*shape), randn(*shape)
    start = momentum.clone()
    with torch.no_grad():
        reg.before_step(kernel.w)
        reg.after_step(kernel.w, {"momentum_buffer": momentum})
    assert reg.edits_state(kernel.w) or torch.equal(momentum, start)
