import geoopt
import pytest
import torch
from cases import ADAM, OPTIMIZERS, RMSPROP, SGD, SHAPES, randn, same, train_step

from isogain.init import orthogonal_
from isogain.linalg import polar, smaller_gram
from isogain.reg.stiefel import Stiefel

GAIN = 1.2
MOMENTA = [(SGD, "momentum_buffer"), (RMSPROP, "momentum_buffer"), (ADAM, "exp_avg")]


def on_manifold(shape):
    return orthogonal_(randn(*shape), gain=GAIN).requires_grad_()


def gram_derivative(w, v):
    """d/dt of the smaller Gram matrix of w + t v at t = 0; zero for a tangent vector."""
    return torch.autograd.functional.jvp(smaller_gram, w.detach(), v)[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_becomes_the_riemannian_gradient_of_geoopt(shape):
    w, g = on_manifold(shape), randn(*shape)
    w.grad = g.clone()
    with torch.no_grad():
        Stiefel(GAIN).before_step(w)
    wide = shape[-2] < shape[-1]  # geoopt knows no wide matrices
    point, g = (t.mT if wide else t for t in (w.detach() / GAIN, g))
    expected = geoopt.EuclideanStiefel().egrad2rgrad(point, g)
    same(w.grad, expected.mT if wide else expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_riemannian_gradient_is_the_derivative_along_every_curve_on_the_manifold(shape):
    """⟨grad f, v⟩ = d/dt f(γ(t)) at t = 0 for γ(t) = g·polar(W + tv), v tangent."""
    w, target = on_manifold(shape), randn(*shape)
    v = randn(*shape)
    v = (polar(w.detach() + 1e-4 * v) - polar(w.detach() - 1e-4 * v)) * GAIN / 2e-4

    def loss(w):
        return (w - target).pow(3).sum()

    loss(w).backward()
    with torch.no_grad():
        Stiefel(GAIN).before_step(w)
        forth, back = (loss(GAIN * polar(w + t * v)).item() for t in (1e-5, -1e-5))
    assert (w.grad * v).sum().item() == pytest.approx((forth - back) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_short_step_decreases_the_loss_by_rate_times_squared_gradient(shape):
    w, target, rate = on_manifold(shape), randn(*shape), 1e-5

    def loss(w):
        return (w - target).square().sum()

    before = loss(w).item()
    train_step(Stiefel(GAIN), torch.optim.SGD([w], lr=rate), w, loss)
    expected = rate * w.grad.square().sum().item()
    assert before - loss(w).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("build", OPTIMIZERS)
def test_200_steps_stay_on_the_manifold(build, shape):
    w, target, reg = on_manifold(shape), randn(*shape), Stiefel(GAIN)
    optimizer = build([w])
    for _ in range(200):
        train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        gram = smaller_gram(w.detach() / GAIN)
        assert (gram - torch.eye(gram.shape[-1])).abs().max() < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("build", "momentum"), MOMENTA)
def test_the_momentum_stays_tangent(build, momentum, shape):
    w, target, reg = on_manifold(shape), randn(*shape), Stiefel(GAIN)
    optimizer = build([w])
    for _ in range(20):
        train_step(reg, optimizer, w, lambda w: (w - target).square().sum())
        v = optimizer.state[w][momentum]
        assert v.abs().max() > 1e-6
        assert gram_derivative(w, v / v.norm()).abs().max() < 1e-13


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_descent_ends_at_the_polar_factor_of_the_target(momentum, shape):
    """Minimising ‖W − T‖² on the manifold is the Procrustes problem, solved by g·polar(T)."""
    nearest = orthogonal_(randn(*shape), gain=GAIN)
    m = min(shape[-2:])
    a = randn(*shape[:-2], m, m)
    positive = torch.eye(m) + a @ a.mT / m
    target = nearest @ positive if shape[-2] >= shape[-1] else positive @ nearest
    turn = torch.matrix_exp(0.2 * (a - a.mT))  # keeps the sign of the determinant
    w = (nearest @ turn if shape[-2] >= shape[-1] else turn @ nearest).requires_grad_()
    optimizer = torch.optim.SGD([w], lr=0.05, momentum=momentum)
    for _ in range(200):
        train_step(Stiefel(GAIN), optimizer, w, lambda w: (w - target).square().sum())
    torch.testing.assert_close(w.detach(), nearest, rtol=0, atol=1e-8)


def test_a_weight_off_the_manifold_is_on_it_after_one_step():
    w, reg = randn(5, 5).requires_grad_(), Stiefel(GAIN)
    train_step(reg, SGD([w]), w, lambda w: w.sum())
    same(torch.linalg.svdvals(w.detach()), torch.full((5,), GAIN, dtype=torch.float64))
