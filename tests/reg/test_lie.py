from functools import partial

import numpy as np
import pytest
import scipy.linalg
import torch
from cases import OPTIMIZERS, SHAPES, Kernel, matrices, randn, same, slow_but, train_step
from torch.nn.utils.parametrize import cached
from toys import fitted, learner

from isogain.init import orthogonal_
from isogain.linalg import smaller_gram
from isogain.optim import SGD, kernel_parameters
from isogain.reg.lie import Lie

GAIN = 1.2
SQUARE = [shape for shape in SHAPES if shape[-2] == shape[-1]]
SHAPE = pytest.mark.parametrize("shape", SHAPES)
MAP = pytest.mark.parametrize("map", ["exp", "cayley"])


def attached(w, map, gain=GAIN):
    kernel = Kernel(w)
    Lie(gain, map).attach(kernel, "w")
    return kernel


def leaves(kernel):
    return list(kernel_parameters(kernel))


def train(kernel, optimizer, target, steps):
    """The loss before each step."""
    losses = []
    for _ in range(steps):
        w = kernel.w
        losses.append((w - target).square().sum().item())
        train_step(Lie(GAIN), optimizer, w, lambda w: (w - target).square().sum(), leaves(kernel))
    return losses


def calls_of(module, name):
    """Grows by one whenever the parametrised weight is computed."""
    calls = []
    module.parametrizations[name].register_forward_hook(lambda *_: calls.append(name))
    return calls


def assert_orthogonal(w, tolerance=1e-12):
    gram = smaller_gram(w.detach() / GAIN)
    assert (gram - torch.eye(gram.shape[-1])).abs().max() < tolerance


@SHAPE
@MAP
@pytest.mark.parametrize("gain", [0.5, 1.0, 1.2])
def test_an_orthogonal_kernel_is_not_drawn_anew(gain, map, shape):
    w = orthogonal_(randn(*shape), gain=gain)
    torch.testing.assert_close(attached(w, map, gain).w.detach(), w, rtol=0, atol=1e-12)


@SHAPE
@MAP
def test_any_other_kernel_starts_at_the_nearest_orthogonal_one(map, shape):
    w = randn(*shape)
    u, _, vh = np.linalg.svd(w.numpy(), full_matrices=False)
    nearest = torch.from_numpy(GAIN * u @ vh)
    torch.testing.assert_close(attached(w, map).w.detach(), nearest, rtol=0, atol=1e-12)


@SHAPE
@MAP
@pytest.mark.parametrize("build", OPTIMIZERS)
def test_50_steps_end_exactly_orthogonal(build, map, shape):
    kernel = attached(orthogonal_(randn(*shape), gain=GAIN), map)
    start = kernel.w.detach().clone()
    train(kernel, build(leaves(kernel)), randn(*shape), 50)
    assert_orthogonal(kernel.w)
    assert (kernel.w.detach() - start).norm() > 0.1


@SHAPE
@MAP
@pytest.mark.parametrize("build", OPTIMIZERS)
def test_gradients_flow_to_what_the_optimiser_moves(build, map, shape):
    kernel = attached(randn(*shape), map)
    losses = train(kernel, build(leaves(kernel)), randn(*shape), 10)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize(
    ("map", "expected"),
    [
        ("exp", scipy.linalg.expm),
        ("cayley", lambda a: scipy.linalg.solve(np.eye(len(a)) - a / 2, np.eye(len(a)) + a / 2)),
    ],
    ids=["exp", "cayley"],
)
def test_a_square_kernel_is_its_start_times_the_map_of_a_skew_matrix(map, expected, shape):
    start = orthogonal_(randn(*shape), gain=GAIN)
    kernel = attached(start, map)
    (leaf,) = leaves(kernel)
    with torch.no_grad():
        leaf.copy_(randn(*shape))
    lower = leaf.detach().tril()
    turns = np.stack([expected(a.numpy()) for a in matrices(lower - lower.mT)])
    same(kernel.w.detach(), start @ torch.from_numpy(turns).reshape(shape))


@pytest.mark.parametrize("shape", SQUARE)
@MAP
def test_the_start_is_the_base_point_so_the_first_step_is_along_its_tangent_space(map, shape):
    """W⁻¹dW is skew there, and of both maps the same to first order: dL = −rate·‖GᵀW − WᵀG‖²/2."""
    target, start = randn(*shape), orthogonal_(randn(*shape), gain=GAIN)
    kernel, rate = attached(start, map), 1e-7
    before, after = train(kernel, torch.optim.SGD(leaves(kernel), lr=rate), target, 2)
    product = start.mT @ (2 * (start - target))
    expected = rate * (product - product.mT).square().sum().item() / 2
    assert before - after == pytest.approx(expected, rel=1e-3)


@MAP
def test_however_often_it_is_read_a_cached_kernel_is_computed_once(map):
    kernel = attached(randn(6, 6), map)
    calls = calls_of(kernel, "w")
    with cached():
        assert kernel.w is kernel.w
        assert len(calls) == 1
    assert kernel.w is not kernel.w
    assert len(calls) == 3


@MAP
def test_training_computes_a_kernel_once_a_step(map, tmp_path):
    model = learner(Lie(GAIN, map), SGD(lr=0.1))
    start, calls = model.net.recurrent.detach().clone(), calls_of(model.net, "recurrent")
    fitted(tmp_path, model=model, max_steps=4, limit_val_batches=0)
    assert len(calls) == 4
    assert not torch.equal(model.net.recurrent, start)
    assert_orthogonal(model.net.recurrent, 1e-5)  # float32


@SHAPE
@MAP
def test_a_saved_kernel_comes_back_bit_for_bit_whatever_it_is_loaded_into(map, shape):
    saved, loaded = (attached(randn(*shape), map) for _ in range(2))
    train(saved, torch.optim.SGD(leaves(saved), lr=0.05), randn(*shape), 5)
    assert not torch.equal(saved.w, loaded.w)
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(saved.w, loaded.w)


@pytest.mark.parametrize("gain", [0, -1.0, float("nan"), float("inf")])
def test_a_gain_out_of_range_is_refused_by_name(gain):
    with pytest.raises(ValueError, match=rf"^gain must be .*, got {gain}$"):
        Lie(gain=gain)


@pytest.mark.parametrize("shape", slow_but(zip([(3, 256, 256), (1, 2, 170, 170)]), 1))
def test_cayley_and_its_gradient_are_right_for_stacks_on_however_many_threads(cores, shape):
    w = orthogonal_(torch.empty(shape), GAIN)
    kernel = attached(w, "cayley")
    (leaf,) = leaves(kernel)
    with torch.no_grad():
        leaf.add_(torch.randn(shape), alpha=0.01)
    pull = torch.randn(shape)
    grad = torch.autograd.grad((pull * kernel.w).sum(), leaf)[0]
    base = (w / GAIN).double()
    assert_close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-4)
    x = leaf.detach().double().requires_grad_()
    skew = x.tril() - x.tril().mT
    eye = torch.eye(shape[-1]).double()
    inverse = torch.stack([torch.linalg.inv(m) for m in (eye - skew / 2).flatten(0, -3)])
    turned = GAIN * base @ inverse.view(shape) @ (eye + skew / 2)
    assert_close(kernel.w.detach(), turned.detach().float())
    assert_close(grad, torch.autograd.grad((pull * turned).sum(), x)[0].float())
