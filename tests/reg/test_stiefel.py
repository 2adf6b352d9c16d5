import math
from functools import partial

import geoopt
import pytest
import scipy.linalg
import torch
from cases import (
    ADAM,
    OPTIMIZERS,
    RMSPROP,
    SGD,
    SHAPES,
    matrices,
    randn,
    same,
    slow_but,
    train_step,
)

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap, smaller_gram
from isogain.optim import MatrixAdam
from isogain.reg.base import Time
from isogain.reg.stiefel import Stiefel

GAIN = 1.2
RETRACTIONS = ["newton_schulz", "polar", "qr", "cayley"]
SQUARE = [shape for shape in SHAPES if shape[-2] == shape[-1]]
EUCLIDEAN, CANONICAL = geoopt.EuclideanStiefel(), geoopt.CanonicalStiefel()
METRICS = {"euclidean": EUCLIDEAN, "canonical": CANONICAL}


def scalar_adam(params, **options):
    return MatrixAdam([{"params": params, "per_matrix": True}], **({"lr": 0.01} | options))


PLAIN = pytest.param(partial(torch.optim.SGD, lr=0.05), id="plain_sgd")
SCALAR_ADAM = pytest.param(scalar_adam, id="scalar_adam")
ALL_OPTIMIZERS = [*OPTIMIZERS, PLAIN, SCALAR_ADAM]
MOMENTA = [
    pytest.param(SGD, "momentum_buffer", id="sgd"),
    pytest.param(RMSPROP, "momentum_buffer", id="rmsprop"),
    pytest.param(ADAM, "exp_avg", id="adam"),
    pytest.param(scalar_adam, "exp_avg", id="scalar_adam"),
]


def on_manifold(shape, gain=GAIN):
    return orthogonal_(randn(*shape), gain=gain).requires_grad_()


def is_square(w):
    return w.shape[-2] == w.shape[-1]


def tall(t):
    """Of wide matrices, which geoopt does not know, the transpose."""
    return t if t.shape[-2] >= t.shape[-1] else t.mT


def ambient(w, vector):
    """What an optimiser's vector means in the space of w: VK where w = gV is square."""
    return w.detach() / GAIN @ vector if is_square(w) else vector


def given_gradient(w, g, metric="euclidean"):
    """What the optimiser gets where ∂L/∂W is g."""
    w.grad = g.clone()
    with torch.no_grad():
        Stiefel(GAIN, metric).before_step(w)
    return w.grad


def gram_derivative(w, v):
    """d/dt of the smaller Gram matrix of w + t v at t = 0; zero for a tangent vector."""
    return torch.autograd.functional.jvp(smaller_gram, w.detach(), v)[1]


def random_rotation(w):
    """t -> the longer side of w turned by exp(tX), X skew: a curve on the manifold in any tangent direction."""
    x = randn(*tall(w).shape[:-1], tall(w).shape[-2])
    return lambda t: rotated(torch.matrix_exp(t * (x - x.mT)), w.detach())


def rotated(q, w):
    return q @ w if tall(w) is w else w @ q.mT


def distance(target):
    return lambda w: (w - target).square().sum()


def towards(target):
    """The gradient of `distance`."""
    return lambda w: 2 * (w - target)


@torch.no_grad()
def train(reg, optimizer, w, gradient, steps, factor=lambda fraction: 1.0):
    """Steps at the time that the learner would tell, the rate following `factor`; yields after each."""
    reg.bind(optimizer)
    rate = optimizer.param_groups[0]["lr"]
    for step in range(steps):
        reg.time = Time(step, 0.0, step / steps)
        optimizer.param_groups[0]["lr"] = rate * factor(step / steps)
        w.grad = gradient(w.detach())
        reg.before_step(w)
        optimizer.step()
        reg.after_step(w, optimizer.state.get(w, {}))
        yield step


def trained(reg, optimizer, w, gradient, steps, factor=lambda fraction: 1.0):
    for _ in train(reg, optimizer, w, gradient, steps, factor):
        pass
    return w.detach()


def cosine(fraction):
    return (1 + math.cos(math.pi * fraction)) / 2


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_becomes_the_riemannian_gradient_of_geoopt(shape, metric):
    w, g = on_manifold(shape), randn(*shape)
    expected = METRICS[metric].egrad2rgrad(tall(w.detach()) / GAIN, tall(g))
    same(tall(ambient(w, given_gradient(w, g, metric))), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_canonical_gradient_is_g_minus_v_gt_v(shape):
    w, g = on_manifold(shape), randn(*shape)
    v = w.detach() / GAIN
    same(ambient(w, given_gradient(w, g, "canonical")), g - v @ g.mT @ v)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SQUARE)
def test_the_optimiser_of_a_square_kernel_gets_a_skew_matrix(shape, metric):
    given = given_gradient(on_manifold(shape), randn(*shape), metric)
    same(given, -given.mT)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_the_derivative_of_the_loss_along_every_curve_on_the_manifold(
    shape, metric
):
    """⟨grad f, γ'(0)⟩ = d/dt f(γ(t)) in the metric's own inner product, both derivatives by autograd."""
    w, target = on_manifold(shape), randn(*shape)
    curve, at_0 = random_rotation(w), (torch.zeros(()).double(), torch.ones(()).double())

    def loss(w):
        return (w - target).pow(3).sum()

    velocity = torch.autograd.functional.jvp(curve, *at_0)[1]
    slope = torch.autograd.functional.jvp(lambda t: loss(curve(t)), *at_0)[1]
    grad = ambient(w, given_gradient(w, torch.autograd.grad(loss(w), w)[0], metric))
    v = tall(w.detach()) / GAIN
    same(METRICS[metric].inner(v, tall(velocity), tall(grad)).sum(), slope)


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_short_step_decreases_the_loss_by_rate_times_gradient_times_riemannian_gradient(
    shape, metric, retraction
):
    w, target, rate = on_manifold(shape), randn(*shape), 1e-5
    before, start = distance(target)(w).item(), w.detach().clone()
    train_step(Stiefel(GAIN, metric, retraction), torch.optim.SGD([w], rate), w, distance(target))
    grad = METRICS[metric].egrad2rgrad(tall(start) / GAIN, tall(2 * (start - target)))
    expected = rate * (grad * tall(2 * (start - target))).sum().item()
    assert before - distance(target)(w).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("build", ALL_OPTIMIZERS)
@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(200, 6, 6), (200, 8, 5), (200, 5, 8)])
def test_a_short_step_is_downhill_for_every_one_of_200_random_gradients(
    shape, metric, retraction, build
):
    w, g = on_manifold(shape), randn(*shape)
    before = (g * w.detach()).sum((-2, -1))
    train_step(Stiefel(GAIN, metric, retraction), build([w], lr=1e-5), w, lambda w: (g * w).sum())
    assert ((g * w.detach()).sum((-2, -1)) < before).all()


@pytest.mark.parametrize("build", ALL_OPTIMIZERS)
@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize(
    ("metric", "shape", "steps"), [("euclidean", (2, 6, 6), 60), ("canonical", (5, 8), 30)]
)
def test_every_step_of_a_run_ends_on_the_manifold(steps, shape, metric, retraction, build):
    w, reg = on_manifold(shape), Stiefel(GAIN, metric, retraction)
    for _ in train(reg, build([w]), w, towards(randn(*shape)), steps):
        assert orthogonality_gap(w.detach(), GAIN).max() < 1e-12


@pytest.mark.parametrize("retraction", slow_but(RETRACTIONS, 0))
def test_300_noisy_steps_in_float32_stay_on_the_manifold(retraction):
    w = on_manifold((64, 64)).detach().float().requires_grad_()
    reg = Stiefel(GAIN, retraction=retraction)
    for _ in train(reg, SGD([w], lr=0.01), w, torch.randn_like, 300):
        assert orthogonality_gap(w.detach().double(), GAIN) < 2e-6


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_giant_step_ends_on_the_manifold(shape, retraction):
    w, reg = on_manifold(shape), Stiefel(GAIN, retraction=retraction)
    train_step(reg, torch.optim.SGD([w], lr=1e3), w, distance(randn(*shape)))
    assert orthogonality_gap(w.detach(), GAIN).max() < 1e-12


def test_the_matrices_that_needed_an_svd_are_reported():
    w, reg = on_manifold((4, 6, 6)), Stiefel(GAIN)
    train_step(reg, torch.optim.SGD([w], lr=1e-3), w, distance(randn(4, 6, 6)))
    assert reg.report() == {"reg/svd_fallbacks": 0}
    train_step(reg, torch.optim.SGD([w], lr=1e3), w, distance(randn(4, 6, 6)))
    assert reg.report() == {"reg/svd_fallbacks": 4}


def exponential_or_polar(v, step):
    """To the fourth order of `newton_schulz` on square matrices; its own limit elsewhere."""
    if not is_square(v):
        return EUCLIDEAN.projx(v + step)
    return v @ torch.from_numpy(scipy.linalg.expm((v.mT @ step).numpy()))


REFERENCE = {
    "newton_schulz": exponential_or_polar,
    "polar": lambda v, step: EUCLIDEAN.projx(v + step),
    "qr": EUCLIDEAN.retr,
    "cayley": lambda v, step: CANONICAL.retr(v, step - v @ (v.mT @ step) / 2),
}


def heavy_ball(momentum, grad, t, lr=1e-4):
    momentum = 0.9 * momentum + grad
    return momentum, -lr * momentum


class TextbookAdam:
    """Bécigneul and Ganea 2019 on one manifold a matrix, its squared gradient averaged over the entries."""

    def __init__(self):
        self.second = 0.0

    def __call__(self, m, grad, t, lr=1e-4):
        m = 0.9 * m + 0.1 * grad
        self.second = 0.999 * self.second + 0.001 * grad.square().mean((-2, -1), keepdim=True)
        first, second = m / (1 - 0.9**t), self.second / (1 - 0.999**t)
        return m, -lr * first / (second.sqrt() + 1e-8)


def reference(w, target, direction, metric, retraction, steps):
    """Minimises ‖W − T‖² with geoopt's pieces, momentum in the space of W: carried by left translation where W is
    square, else by projection."""
    v, momentum = w / GAIN, torch.zeros_like(w)
    for t in range(1, steps + 1):
        grad = METRICS[metric].egrad2rgrad(v, 2 * (GAIN * v - target))
        momentum, step = direction(momentum, grad, t)
        end = REFERENCE[retraction](v, step / GAIN)
        momentum = end @ v.mT @ momentum if is_square(v) else EUCLIDEAN.proju(end, momentum)
        v = end
    return GAIN * v


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("shape", [(6, 6), (2, 4, 5, 5), (4, 8, 5)])
@pytest.mark.parametrize(
    ("build", "direction"),
    [
        pytest.param(partial(torch.optim.SGD, momentum=0.9), lambda: heavy_ball, id="sgd"),
        pytest.param(scalar_adam, TextbookAdam, id="scalar_adam"),
    ],
)
def test_ten_steps_are_those_of_the_textbook(build, direction, shape, retraction, metric):
    w, target = on_manifold(shape), randn(*shape)
    start = tall(w.detach().clone())
    reg = Stiefel(GAIN, metric, retraction)
    ours = tall(trained(reg, build([w], lr=1e-4), w, towards(target), 10))
    theirs = reference(start, tall(target), direction(), metric, retraction, 10)
    close = 1e-10 if retraction == "newton_schulz" else 1e-12
    torch.testing.assert_close(ours, theirs, rtol=0, atol=close)


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_an_optimiser_adds_is_retracted_along_its_tangent_part(shape, retraction):
    """As with second moments an entry, which know no tangent space where W is not square."""
    w, step, reg = on_manifold(shape), 1e-3 * randn(*shape), Stiefel(GAIN, retraction=retraction)
    v = tall(w.detach().clone()) / GAIN
    with torch.no_grad():
        reg.before_step(w)
        w.add_(step)
        reg.after_step(w, {})
    delta = v @ (step - step.mT) / 2 if is_square(w) else EUCLIDEAN.proju(v, tall(step))
    same(tall(w.detach()), GAIN * REFERENCE[retraction](v, delta / GAIN))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("build", "name"), MOMENTA)
def test_momentum_is_carried_by_left_translation_where_square_and_by_projection_elsewhere(
    build, name, shape
):
    w, target, reg = on_manifold(shape), randn(*shape), Stiefel(GAIN)
    optimizer = build([w])
    trained(reg, optimizer, w, towards(target), 3)
    start = w.detach().clone()
    optimizer.zero_grad()
    distance(target)(w).backward()
    with torch.no_grad():
        reg.before_step(w)
        optimizer.step()
        before = ambient(start, optimizer.state[w][name].clone())
        reg.after_step(w, optimizer.state[w])
    after, end = ambient(w, optimizer.state[w][name]), w.detach()
    if is_square(w):
        same(after, end @ start.mT @ before / GAIN**2)
        same(torch.linalg.matrix_norm(after), torch.linalg.matrix_norm(before))
    else:
        same(tall(after), EUCLIDEAN.proju(tall(end) / GAIN, tall(before)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("build", "name"), MOMENTA)
def test_the_momentum_stays_tangent(build, name, shape):
    w, reg = on_manifold(shape), Stiefel(GAIN)
    optimizer = build([w])
    for _ in train(reg, optimizer, w, towards(randn(*shape)), 20):
        v = ambient(w, optimizer.state[w][name])
        assert v.abs().max() > 1e-6
        assert gram_derivative(w, v / v.norm()).abs().max() < 1e-13


@pytest.mark.parametrize("shape", SQUARE)
def test_without_a_gradient_momentum_coasts_along_the_geodesic_of_the_first_step(shape):
    w, rate = on_manifold(shape), 1e-3
    start, g, reg = w.detach().clone(), randn(*shape), Stiefel(GAIN)
    optimizer = torch.optim.SGD([w], lr=rate, momentum=0.9)
    trained(reg, optimizer, w, lambda w: g.clone(), 1)
    trained(reg, optimizer, w, torch.zeros_like, 4)
    turn = (start.mT @ g - g.mT @ start) / 2 / GAIN
    way = -rate / GAIN * (1 + 0.9 + 0.9**2 + 0.9**3 + 0.9**4) * turn
    same(w.detach(), start @ torch.from_numpy(scipy.linalg.expm(way.numpy())))


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("build", ALL_OPTIMIZERS)
@pytest.mark.parametrize("shape", [(4, 6, 6)])
def test_a_rotation_from_the_left_rotates_the_whole_run_of_a_square_kernel(
    shape, build, retraction
):
    """Second moments too live in the basis that moves with W."""
    w, target, q = on_manifold(shape), randn(*shape), on_manifold(shape, 1.0).detach()
    turned = (q @ w.detach()).requires_grad_()
    runs = (
        trained(Stiefel(GAIN, retraction=retraction), build([x]), x, towards(t), 10)
        for x, t in ((w, target), (turned, q @ target))
    )
    torch.testing.assert_close(q @ next(runs), next(runs), rtol=0, atol=1e-10)


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("build", ALL_OPTIMIZERS)
def test_a_wide_kernel_is_trained_as_the_transpose_of_a_tall_one(build, retraction):
    high, target = on_manifold((8, 5)), randn(8, 5)
    wide = high.detach().mT.contiguous().requires_grad_()
    runs = (
        trained(Stiefel(GAIN, retraction=retraction), build([x]), x, towards(t), 10)
        for x, t in ((high, target), (wide, target.mT))
    )
    torch.testing.assert_close(next(runs).mT, next(runs), rtol=0, atol=1e-10)


CONVERGING = [
    pytest.param(partial(torch.optim.SGD, lr=0.1, momentum=0.5), id="sgd"),
    pytest.param(partial(torch.optim.Adam, lr=0.1, betas=(0.5, 0.999)), id="adam"),
    pytest.param(partial(scalar_adam, lr=0.1, betas=(0.5, 0.999)), id="scalar_adam"),
]


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("build", CONVERGING)
@pytest.mark.parametrize("shape", [(2, 6, 6), (8, 5)])
def test_training_ends_at_the_polar_factor_of_the_target(shape, build, retraction):
    """Minimising ‖W − T‖² on the manifold is the Procrustes problem, solved by g·polar(T)."""
    target = on_manifold(shape).detach() @ stretch(shape[-1])
    nearest = [scipy.linalg.polar(t.numpy())[0] for t in matrices(target)]
    nearest = GAIN * torch.stack([torch.from_numpy(t) for t in nearest]).view(shape)
    w = random_rotation(nearest)(0.2).requires_grad_()  # keeps the sign of the determinant
    reg = Stiefel(GAIN, retraction=retraction)
    found = trained(reg, build([w]), w, towards(target), 100, cosine)
    torch.testing.assert_close(found, nearest, rtol=0, atol=1e-6)


def stretch(n):
    """A random positive definite matrix with eigenvalues 1 to 3."""
    q = on_manifold((n, n), 1.0).detach()
    return q * torch.linspace(1, 3, n) @ q.mT


@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("build", CONVERGING)
def test_training_finds_the_leading_subspace(build, retraction):
    """The minimum of −tr(WᵀAW) is −g² times the sum of the k largest eigenvalues of A."""
    w, a, reg = on_manifold((8, 3)), 3 * stretch(8), Stiefel(GAIN, retraction=retraction)
    optimum = GAIN**2 * scipy.linalg.eigvalsh(a.numpy())[-3:].sum()
    found = trained(reg, build([w]), w, lambda w: -2 * a @ w, 100, cosine)
    assert (found * (a @ found)).sum().item() == pytest.approx(optimum, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "gain", "retraction"),
    [
        (1e-4, GAIN, "newton_schulz"),
        (1e-2, "learned", "newton_schulz"),
        *((1e-2, GAIN, retraction) for retraction in ("polar", "qr", "cayley")),
    ],
)
def test_10_000_noisy_steps_in_float32_stay_on_the_manifold(rate, gain, retraction):
    kernel, reg = torch.nn.Module(), Stiefel(gain, retraction=retraction)
    kernel.w = torch.nn.Parameter(on_manifold((64, 64)).detach().float())
    reg.attach(kernel, "w")
    optimizer = SGD([{"params": [kernel.w]}, {"params": reg.scales()}], lr=rate)
    for _ in train(reg, optimizer, kernel.w, torch.randn_like, 10_000):
        pass
    assert orthogonality_gap(kernel.w.detach().double(), reg.gain_of(kernel.w)) <= 2e-6
