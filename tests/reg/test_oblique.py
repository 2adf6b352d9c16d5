import math
from functools import partial

import geoopt
import numpy as np
import pytest
import torch
from cases import ADAM, OPTIMIZERS, RMSPROP, SGD, SHAPES, randn, same, train_step

from isogain.linalg import smaller_gram
from isogain.optim import MatrixAdam
from isogain.reg.base import Time
from isogain.reg.oblique import Oblique

GAIN = 1.2
SPHERE = geoopt.Sphere()  # of the last axis: a row of W/g is a point on it


def scalar_adam(params, **options):
    return MatrixAdam([{"params": params, "per_matrix": True}], **({"lr": 0.01} | options))


ALL_OPTIMIZERS = [
    *OPTIMIZERS,
    pytest.param(partial(torch.optim.SGD, lr=0.05), id="plain_sgd"),
    pytest.param(scalar_adam, id="scalar_adam"),
]
MOMENTA = [
    pytest.param(SGD, "momentum_buffer", id="sgd"),
    pytest.param(RMSPROP, "momentum_buffer", id="rmsprop"),
    pytest.param(ADAM, "exp_avg", id="adam"),
    pytest.param(scalar_adam, "exp_avg", id="scalar_adam"),
]


def with_rows_of_norm(gain, w):
    return gain * w / torch.from_numpy(np.linalg.norm(w.numpy(), axis=-1, keepdims=True))


def on_manifold(shape):
    return with_rows_of_norm(GAIN, randn(*shape)).requires_grad_()


def given_gradient(w, g, **options):
    """What the optimiser gets where ∂L/∂W is g."""
    w.grad = g.clone()
    with torch.no_grad():
        Oblique(GAIN, **options).before_step(w)
    return w.grad


def distance(target):
    return lambda w: (w - target).square().sum()


def non_orthogonality(w):
    gram = smaller_gram(w / GAIN)
    return (gram - torch.eye(gram.shape[-1])).square().sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_becomes_the_riemannian_gradient_of_geoopt(shape):
    w, g = on_manifold(shape), randn(*shape)
    same(given_gradient(w, g), SPHERE.egrad2rgrad(w.detach() / GAIN, g))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_the_derivative_of_the_loss_along_every_curve_on_the_manifold(shape):
    """⟨grad f, γ'(0)⟩ = d/dt f(γ(t)) for rows that turn by exp(tX), X skew, each its own; by autograd."""
    w, target, x = on_manifold(shape), randn(*shape), randn(*shape, shape[-1])
    at_0 = torch.zeros(()).double(), torch.ones(()).double()

    def curve(t):
        return (torch.matrix_exp(t * (x - x.mT)) @ w.detach().unsqueeze(-1)).squeeze(-1)

    def loss(w):
        return (w - target).pow(3).sum()

    velocity = torch.autograd.functional.jvp(curve, *at_0)[1]
    slope = torch.autograd.functional.jvp(lambda t: loss(curve(t)), *at_0)[1]
    same((given_gradient(w, torch.autograd.grad(loss(w), w)[0]) * velocity).sum(), slope)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strength", [0.3, 2.0])
def test_strength_adds_the_gradient_of_the_distance_from_orthogonality(strength, shape):
    w, g = on_manifold(shape), randn(*shape)
    (extra,) = torch.autograd.grad(strength * non_orthogonality(w), w)
    expected = SPHERE.egrad2rgrad(w.detach() / GAIN, g + extra)
    same(given_gradient(w, g, strength=strength), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_penalty_is_the_strength_times_the_distance_from_orthogonality(shape):
    w = on_manifold(shape)
    same(Oblique(GAIN, strength=2.0).penalty(w), 2 * non_orthogonality(w))
    assert not Oblique(GAIN).has_penalty


@pytest.mark.parametrize("shape", [(6, 6), (5, 8), (2, 4, 5, 5)])
def test_a_strong_penalty_alone_makes_rows_orthogonal(shape):
    w, reg = on_manifold(shape), Oblique(GAIN, strength=1.0)
    optimizer = torch.optim.SGD([w], lr=0.05, momentum=0.9)
    for _ in range(200):
        train_step(reg, optimizer, w, lambda w: 0 * w.sum())
    s = torch.from_numpy(np.linalg.svd(w.detach().numpy(), compute_uv=False))
    torch.testing.assert_close(s, torch.full_like(s, GAIN), rtol=0, atol=1e-2)


@pytest.mark.parametrize("value", [-1e-9, -1, math.nan, math.inf])
def test_a_strength_out_of_range_is_refused_by_name(value):
    with pytest.raises(ValueError, match=f"^strength must be .*, got {value}$"):
        Oblique(strength=value)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plain_step_is_the_projection_of_geoopt_after_a_straight_step(shape):
    w, g, rate = on_manifold(shape), randn(*shape), 0.1
    start = w.detach() / GAIN
    train_step(Oblique(GAIN), torch.optim.SGD([w], lr=rate), w, lambda w: (g * w).sum())
    step = -rate / GAIN * SPHERE.egrad2rgrad(start, g)
    same(w.detach(), GAIN * SPHERE.projx(start + step))


@pytest.mark.parametrize("strength", [0.0, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("build", ALL_OPTIMIZERS)
def test_rows_have_the_norm_of_the_gain_after_every_step(build, shape, strength):
    w, target, reg = on_manifold(shape), randn(*shape), Oblique(GAIN, strength)
    optimizer = build([w])
    for step in range(30):
        reg.time = Time(step)
        train_step(reg, optimizer, w, distance(target))
        norms = np.linalg.norm(w.detach().numpy(), axis=-1)
        assert np.abs(norms - GAIN).max() < 1e-14


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("build", "name"), MOMENTA)
def test_momentum_is_projected_on_the_tangent_space_of_every_row(build, name, shape):
    w, reg = on_manifold(shape), Oblique(GAIN)
    target, optimizer = randn(*shape), build([w])
    for _ in range(5):
        train_step(reg, optimizer, w, distance(target))
    distance(target)(w).backward()
    with torch.no_grad():
        reg.before_step(w)
        optimizer.step()
        before = optimizer.state[w][name].clone()
        reg.after_step(w, optimizer.state[w])
    after = optimizer.state[w][name]
    same(after, SPHERE.proju(w.detach() / GAIN, before))
    assert after.abs().max() > 1e-6
    assert (after * w.detach()).sum(-1).abs().max() < 1e-13


@pytest.mark.parametrize("strength", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(200, 6, 6), (200, 8, 5), (200, 5, 8)])
@pytest.mark.parametrize("build", ALL_OPTIMIZERS)
def test_a_short_step_is_downhill_for_every_one_of_200_random_gradients(build, shape, strength):
    w, g = on_manifold(shape), randn(*shape)

    def losses(w):
        penalties = torch.stack([non_orthogonality(m) for m in w])
        return (g * w).sum((-2, -1)) + strength * penalties

    before = losses(w.detach())
    train_step(Oblique(GAIN, strength), build([w], lr=1e-5), w, lambda w: (g * w).sum())
    assert (losses(w.detach()) < before).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(partial(torch.optim.SGD, lr=0.1, momentum=0.5), id="sgd"),
        pytest.param(partial(torch.optim.Adam, lr=0.1, betas=(0.5, 0.999)), id="adam"),
        pytest.param(partial(scalar_adam, lr=0.1, betas=(0.5, 0.999)), id="scalar_adam"),
    ],
)
def test_training_ends_at_the_rows_of_the_target_at_the_norm_of_the_gain(build, shape):
    target = randn(*shape)
    nearest = with_rows_of_norm(GAIN, target)
    w, reg = with_rows_of_norm(GAIN, nearest + 0.3 * randn(*shape)).requires_grad_(), Oblique(GAIN)
    optimizer = build([w])
    rate = optimizer.param_groups[0]["lr"]
    for step in range(100):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / 100)) / 2
        train_step(reg, optimizer, w, distance(target))
    torch.testing.assert_close(w.detach(), nearest, rtol=0, atol=1e-6)


def textbook_adam(w, target, steps, lr=1e-2):
    """Riemannian Adam on the product of spheres, momentum carried by projection, all by geoopt's sphere."""
    v, m, second = w / GAIN, torch.zeros_like(w), 0.0
    for t in range(1, steps + 1):
        grad = SPHERE.egrad2rgrad(v, 2 * (GAIN * v - target))
        m = 0.9 * m + 0.1 * grad
        second = 0.999 * second + 0.001 * grad.square().mean((-2, -1), keepdim=True)
        size = (second / (1 - 0.999**t)).sqrt() + 1e-8
        v = SPHERE.projx(v - lr / GAIN * m / (1 - 0.9**t) / size)
        m = SPHERE.proju(v, m)
    return GAIN * v


@pytest.mark.parametrize("shape", SHAPES)
def test_adam_with_one_second_moment_a_matrix_is_riemannian_adam(shape):
    w, target = on_manifold(shape), randn(*shape)
    start, optimizer = w.detach().clone(), scalar_adam([w], lr=1e-2)
    for _ in range(20):
        train_step(Oblique(GAIN), optimizer, w, distance(target))
    same(w.detach(), textbook_adam(start, target, 20))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_norm_of_a_matrix_is_fixed_and_its_singular_values_are_not(shape):
    w = on_manifold(shape)
    before = np.linalg.svd(w.detach().numpy(), compute_uv=False)
    train_step(Oblique(GAIN), SGD([w]), w, distance(randn(*shape)))
    after = np.linalg.svd(w.detach().numpy(), compute_uv=False)
    same((after**2).sum(-1), (before**2).sum(-1))
    assert np.abs(after - before).max() > 1e-3
