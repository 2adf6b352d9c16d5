from functools import partial

import numpy as np
import pytest
import scipy.linalg
import torch
from cases import ADAM, RMSPROP, SGD, SHAPES, matrices, part, randn, same, train_step
from torch import nn

from isogain.init import orthogonal_
from isogain.linalg import smaller_gram, stacks
from isogain.reg.base import Time
from isogain.reg.oblique import Oblique
from isogain.reg.stiefel import Stiefel

GAIN = 1.2
MANIFOLDS = [
    pytest.param(Stiefel, id="stiefel"),
    pytest.param(partial(Stiefel, metric="canonical", retraction="cayley"), id="cayley"),
    pytest.param(Oblique, id="oblique"),
    pytest.param(partial(Oblique, strength=0.3), id="oblique_with_strength"),
]
all_manifolds = pytest.mark.parametrize("manifold", MANIFOLDS)
all_shapes = pytest.mark.parametrize("shape", SHAPES)


def attached(reg, w):
    """A kernel that starts as `w`."""
    module = nn.Module()
    module.w = nn.Parameter(w.clone())
    reg.attach(module, "w")
    return module.w


def on_manifold(manifold, shape, gain=GAIN):
    return attached(manifold(gain), randn(*shape)).detach()


def error(manifold, w, gain):
    """How far w/g is from the manifold."""
    v = w.detach() / gain
    if isinstance(manifold(), Oblique):
        return (v.square().sum(-1) - 1).abs().max()
    return (smaller_gram(v) - torch.eye(min(v.shape[-2:]))).abs().max()


def size(manifold, w):
    """Root mean square row norm, or singular value."""
    if isinstance(manifold(), Oblique):
        s = np.linalg.norm(w.detach().numpy(), axis=-1)
    else:
        s = np.linalg.svd(w.detach().numpy(), compute_uv=False)
    return torch.from_numpy(np.sqrt((s**2).mean(-1, keepdims=True)))[..., None]


def nearest(manifold, w, gain):
    """Row by row, or the polar factor, by scipy."""
    if isinstance(manifold(), Oblique):
        return gain * w / torch.from_numpy(np.linalg.norm(w.numpy(), axis=-1, keepdims=True))
    polars = [torch.from_numpy(scipy.linalg.polar(m.numpy())[0]) for m in matrices(w)]
    return gain * torch.stack(polars).view(w.shape)


def optimizer_of(reg, w, build=torch.optim.SGD, lr=1e-3, gain_lr=1e-3):
    groups = [{"params": [w]}, {"params": reg.scales(), "lr": gain_lr}]
    return build(groups if reg.scales() else groups[:1], lr=lr)


def cubic(target):
    return lambda w: (w - target).pow(3).sum()


@all_manifolds
@all_shapes
def test_a_kernel_starts_at_the_nearest_point_of_the_manifold(shape, manifold):
    w = randn(*shape)
    same(attached(manifold(GAIN), w).detach(), nearest(manifold, w, GAIN))


@all_manifolds
@all_shapes
def test_a_kernel_that_is_on_the_manifold_starts_as_it_is(shape, manifold):
    w = on_manifold(manifold, shape)
    same(attached(manifold(GAIN), w).detach(), w)


@all_manifolds
@all_shapes
@pytest.mark.parametrize("gain", [GAIN, "learned"])
def test_a_kernel_starts_orthogonal_if_it_is_drawn_so(gain, shape, manifold):
    """Rows of an orthogonal tall matrix are shorter than g, so the oblique manifold is apart from it."""
    w = orthogonal_(randn(*shape), gain=GAIN)
    if not isinstance(manifold(), Oblique) or shape[-2] <= shape[-1]:
        same(attached(manifold(gain), w).detach(), w)


@all_manifolds
@all_shapes
@pytest.mark.parametrize("gain", [GAIN, "learned"])
def test_without_a_gradient_a_step_leaves_the_kernel_where_it_is(gain, shape, manifold):
    reg = manifold(gain)
    w = attached(reg, randn(*shape))
    start, sigmas = w.detach().clone(), [s.clone() for s in reg.scales()]
    optimizer = optimizer_of(reg, w)
    with torch.no_grad():
        reg.before_step(w)
        optimizer.step()
        reg.after_step(w, optimizer.state.get(w, {}))
    same(w.detach(), start)
    same(reg.scales(), sigmas)


@all_manifolds
@all_shapes
@pytest.mark.parametrize("gain", [GAIN, "learned"])
def test_the_end_of_a_step_alone_leaves_the_kernel_where_it_is(gain, shape, manifold):
    """As where training resumes between the two."""
    reg = manifold(gain)
    w = attached(reg, randn(*shape))
    start = w.detach().clone()
    reg.bind(torch.optim.SGD([w], lr=0.1))
    with torch.no_grad():
        reg.after_step(w, {"momentum_buffer": None, "step": torch.tensor(1.0)})
    same(w.detach(), start)


@all_manifolds
def test_a_fixed_gain_is_the_gain_of_every_kernel_and_nothing_to_train(manifold):
    reg = manifold(GAIN)
    w = attached(reg, randn(4, 4))
    assert reg.gain_of(w) == reg.gain_of(randn(3, 3)) == GAIN
    assert reg.scales() == []


@all_manifolds
@pytest.mark.parametrize("gain", [GAIN, "learned"])
@pytest.mark.parametrize("shape", [(7, 6, 6), (7, 8, 5)])
def test_a_stack_that_is_worked_on_in_pieces_moves_as_one_worked_on_at_once(
    shape, gain, manifold, monkeypatch
):
    start, target, ends = randn(*shape), randn(*shape), []
    for entries in (2**20, 100):
        monkeypatch.setattr(stacks, "CACHED", entries)
        reg = manifold(gain)
        w = attached(reg, start)
        optimizer = optimizer_of(reg, w, partial(torch.optim.SGD, momentum=0.9))
        for step in range(5):
            reg.time = Time(step)
            train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        ends.append(w.detach().clone())
    torch.testing.assert_close(*ends, rtol=0, atol=1e-10)


@all_manifolds
@all_shapes
def test_a_learned_gain_starts_at_the_size_of_the_kernel(shape, manifold):
    w, reg = randn(*shape), manifold("learned")
    kernel = attached(reg, w)
    same(reg.gain_of(kernel).detach(), size(manifold, w))
    same(kernel.detach(), nearest(manifold, w, size(manifold, w)))


@all_manifolds
@all_shapes
@pytest.mark.parametrize("gain", [GAIN, "learned"])
def test_settling_anew_forgets_where_the_kernel_was_and_keeps_the_parameters(gain, shape, manifold):
    reg, other = manifold(gain), randn(*shape)
    w = attached(reg, randn(*shape))
    sigmas = reg.scales()
    with torch.no_grad():
        reg.make_feasible_(w.copy_(other))
    expected = size(manifold, other) if gain == "learned" else gain
    same(w.detach(), nearest(manifold, other, expected))
    if gain == "learned":
        same(reg.gain_of(w).detach(), expected)
    assert [a is b for a, b in zip(sigmas, reg.scales(), strict=True)] == [True] * len(sigmas)


@all_manifolds
@all_shapes
def test_a_learned_gain_is_a_parameter_a_matrix_outside_the_graph(shape, manifold):
    reg = manifold("learned")
    w = attached(reg, randn(*shape))
    (sigma,) = reg.scales()
    assert reg.gain_of(w) is sigma
    assert isinstance(sigma, nn.Parameter) and not sigma.requires_grad
    assert sigma.shape == (*shape[:-2], 1, 1) and sigma.dtype == w.dtype
    assert [p is sigma for p in reg.parameters()] == [True]


@all_manifolds
def test_every_kernel_learns_a_gain_of_its_own(manifold):
    reg = manifold("learned")
    kernels = [attached(reg, c * orthogonal_(randn(4, 4))) for c in (0.5, 2.0)]
    targets = [3 * w.detach() for w in kernels]
    groups = [{"params": kernels}, {"params": reg.scales()}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    sum((w - t).square().sum() for w, t in zip(kernels, targets, strict=True)).backward()
    with torch.no_grad():
        for w in kernels:
            reg.before_step(w)
        optimizer.step()
        for w in kernels:
            reg.after_step(w, {})
    # σ − 0.1 ∂/∂σ ‖σV − 3σ₀V‖² = σ₀ + 0.2 · 2σ₀ · 4
    assert [reg.gain_of(w).item() for w in kernels] == pytest.approx([1.3, 5.2])
    for w, t in zip(kernels, targets, strict=True):
        same(w.detach(), t / 3 * 2.6)


def penalised(manifold, loss):
    """(σ, V) -> loss at W = σV, with the penalty that an oblique manifold may add to it."""
    strength = getattr(manifold(), "strength", 0.0)

    def f(sigma, v):
        gram = smaller_gram(v)
        return loss(sigma * v) + strength * (gram - torch.eye(gram.shape[-1])).square().sum()

    return f


@all_manifolds
@all_shapes
def test_the_gradient_of_a_learned_gain_is_that_of_the_loss_in_sigma_and_v(shape, manifold):
    reg, loss = manifold("learned"), cubic(randn(*shape))
    w = attached(reg, randn(*shape))
    sigma = reg.gain_of(w).detach().clone().requires_grad_()
    penalised(manifold, loss)(sigma, w.detach() / sigma.detach()).backward()
    loss(w).backward()
    with torch.no_grad():
        reg.before_step(w)
    same(reg.gain_of(w).grad, sigma.grad)


@all_manifolds
@all_shapes
def test_a_step_with_a_learned_gain_is_a_step_at_the_old_gain_and_then_a_new_gain(shape, manifold):
    target, reg = randn(*shape), manifold("learned")
    w = attached(reg, randn(*shape))
    old = reg.gain_of(w).detach().clone()
    alone = [m.clone().requires_grad_() for m in matrices(w)]
    train_step(reg, optimizer_of(reg, w, lr=0.01, gain_lr=0.1), w, cubic(target))
    new = reg.gain_of(w).detach()
    for m, t, g in zip(alone, matrices(target), old.flatten().tolist(), strict=True):
        train_step(manifold(g), torch.optim.SGD([m], lr=0.01), m, cubic(t))
    fixed = torch.stack([m.detach() for m in alone]).view(shape)
    assert (new - old).abs().min() > 1e-3
    torch.testing.assert_close(w.detach(), fixed * new / old, rtol=0, atol=1e-10)


@all_manifolds
@all_shapes
@pytest.mark.parametrize("build", [SGD, ADAM, RMSPROP])
def test_every_step_ends_at_the_new_gain_times_a_point_of_the_manifold(build, shape, manifold):
    reg, start = manifold("learned"), randn(*shape)
    w, target = attached(reg, start), 3 * start
    optimizer = optimizer_of(reg, w, build, lr=0.01, gain_lr=0.01)
    for step in range(10):
        reg.time = Time(step)
        before = reg.gain_of(w).detach().clone()
        train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        assert (reg.gain_of(w) - before).abs().min() > 1e-6
        assert error(manifold, w, reg.gain_of(w)) < 1e-12


@all_manifolds
@pytest.mark.parametrize("shape", [(2, 8, 5), (5, 8)])
@pytest.mark.parametrize(("build", "name"), [(SGD, "momentum_buffer"), (ADAM, "exp_avg")])
def test_momentum_is_tangent_at_the_new_gain(build, name, shape, manifold):
    """W/σ + tm is on the manifold to first order in t."""
    reg, start = manifold("learned"), randn(*shape)
    w = attached(reg, start)
    optimizer = optimizer_of(reg, w, build, lr=0.01, gain_lr=0.1)
    for step in range(3):
        reg.time = Time(step)
        train_step(reg, optimizer, w, lambda w: (w - 3 * start).square().sum())
    v, m = w.detach() / reg.gain_of(w), optimizer.state[w][name]
    assert error(manifold, v + 1e-7 * m / m.norm(), 1.0) < 1e-13


@all_manifolds
@all_shapes
@pytest.mark.parametrize("build", [SGD, ADAM, RMSPROP])
def test_a_learned_gain_is_never_less_than_a_millionth_and_grows_again(build, shape, manifold):
    reg = manifold("learned")
    w = attached(reg, randn(*shape))
    v = (w / reg.gain_of(w)).detach()
    train_step(reg, optimizer_of(reg, w, build, gain_lr=1e6), w, lambda w: 1e9 * (w * v).sum())
    same(reg.gain_of(w).detach(), torch.full((*shape[:-2], 1, 1), 1e-6).double())
    assert error(manifold, w, 1e-6) < 1e-12
    upwards = optimizer_of(reg, w, lr=1e-12, gain_lr=0.1)
    train_step(reg, upwards, w, lambda w: -(w * v).sum())
    assert (reg.gain_of(w) > 0.1).all()
    assert error(manifold, w, reg.gain_of(w)) < 1e-12


@pytest.mark.parametrize("manifold", MANIFOLDS[:3])  # the penalty moves the optimum
@pytest.mark.parametrize("shape", [(6, 6), (2, 8, 5), (5, 8)])
def test_learning_finds_the_gain_and_the_point_of_a_target(shape, manifold):
    q = on_manifold(manifold, shape, 1.0)
    reg = manifold("learned")
    w = attached(reg, 0.7 * q + 0.1 * randn(*shape))
    optimizer = optimizer_of(reg, w, partial(torch.optim.SGD, momentum=0.5), 0.02, 0.02)
    for step in range(150):
        reg.time = Time(step)
        train_step(reg, optimizer, w, lambda w: (w - 2 * q).square().sum())
    close = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(
        reg.gain_of(w).detach(), torch.full((*shape[:-2], 1, 1), 2.0).double(), **close
    )
    torch.testing.assert_close(w.detach(), 2 * q, **close)


@all_manifolds
def test_a_learned_gain_comes_back_with_the_state(manifold):
    ours, theirs = (manifold("learned") for _ in range(2))
    w, other = attached(ours, randn(2, 5, 5)), attached(theirs, randn(2, 5, 5))
    theirs.load_state_dict(ours.state_dict())
    same(theirs.gain_of(other).detach(), size(manifold, w))


@pytest.mark.parametrize("name", ["manifold", "oblique"])
def test_the_configuration_takes_learned_for_a_gain(name):
    reg = part("reg", name, "learned")
    assert reg.scales() == [] and reg.gain == "learned"
    attached(reg, randn(3, 3))
    assert len(reg.scales()) == 1
