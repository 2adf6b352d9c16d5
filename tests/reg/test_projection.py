import geoopt
import numpy as np
import pytest
import scipy.stats
import torch
from cases import OPTIMIZERS, SHAPES, matrices, randn, same, train_step

from isogain.reg.projection import Projection

GAIN = 1.2


def projected(w):
    w = w.clone()
    Projection(GAIN).after_step(w, {})
    return w


@pytest.mark.parametrize("shape", SHAPES)
def test_the_projection_is_that_of_geoopt(shape):
    w = randn(*shape)
    tall = w if shape[-2] >= shape[-1] else w.mT  # geoopt knows no wide matrices
    expected = GAIN * geoopt.EuclideanStiefel().projx(tall)
    same(projected(w), expected if tall is w else expected.mT)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_projection_sets_every_singular_value_to_the_gain_and_keeps_the_vectors(shape):
    w = randn(*shape)
    u, s, vh = np.linalg.svd(w.numpy(), full_matrices=False)
    same(projected(w), torch.from_numpy(u @ (GAIN * np.ones_like(s)[..., None] * vh)))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_random_orthogonal_matrix_is_nearer(shape):
    w, n = randn(*shape), max(shape[-2:])
    others = torch.from_numpy(scipy.stats.ortho_group.rvs(n, size=1000, random_state=0))
    others = GAIN * others[:, : shape[-2], : shape[-1]]
    for matrix, nearest in zip(matrices(w), matrices(projected(w)), strict=True):
        distance = torch.linalg.matrix_norm(matrix - nearest)
        assert (torch.linalg.matrix_norm(matrix - others) > distance).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_orthogonal_matrix_close_by_is_nearer(shape):
    w = randn(*shape)
    nearest = projected(w)
    for _ in range(20):
        other = projected(nearest + 1e-3 * randn(*shape))
        gain_in_distance = (w - other).square().sum((-2, -1)) - (w - nearest).square().sum((-2, -1))
        assert (gain_in_distance > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_projecting_twice_is_projecting_once(shape):
    once = projected(randn(*shape))
    same(projected(once), once)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("build", OPTIMIZERS)
def test_every_step_ends_on_the_manifold(build, shape):
    w, target, reg = randn(*shape).requires_grad_(), randn(*shape), Projection(GAIN)
    optimizer = build([w])
    for _ in range(10):
        train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        s = torch.linalg.svdvals(w.detach())
        assert (s - GAIN).abs().max() < 1e-13


def test_the_optimiser_state_is_left_alone():
    w, momentum = randn(4, 4), randn(4, 4)
    state = {"momentum_buffer": momentum.clone()}
    Projection(GAIN).after_step(w, state)
    assert torch.equal(state["momentum_buffer"], momentum)
