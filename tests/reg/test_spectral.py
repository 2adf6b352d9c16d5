import pytest
import torch
from cases import OPTIMIZERS, SHAPES, Kernel, randn, same, slow_but, train_step
from scipy.special import expit

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap, smaller_gram
from isogain.optim import kernel_parameters
from isogain.reg.base import Time
from isogain.reg.spectral import Spectral

GAIN, MARGIN = 1.2, 0.2
SHAPE = pytest.mark.parametrize("shape", SHAPES)
BUILD = pytest.mark.parametrize("build", OPTIMIZERS)
REACH = 0.02  # of the band: no sigmoid gets to the margin itself


def bases(shape):
    """Random orthonormal U (..., n, m) and V (..., k, m)."""
    m = min(shape[-2:])
    return [orthogonal_(randn(*shape[:-2], size, m)) for size in shape[-2:]]


def with_values(u, s, v):
    return (u * s.unsqueeze(-2)) @ v.mT


def values(shape, low, high):
    """Descending draws from g times (low, high), one for each singular value."""
    s = randn(*shape[:-2], min(shape[-2:])).uniform_(GAIN * low, GAIN * high)
    return s.sort(-1, descending=True).values


def svdvals(w):
    return torch.linalg.svdvals(w.detach())


def attached(w, margin=MARGIN):
    reg, kernel = Spectral(GAIN, margin), Kernel(w)
    reg.attach(kernel, "w")
    return reg, kernel


def leaves(kernel):
    return list(kernel_parameters(kernel))


def before_step(reg, leaves):
    with torch.no_grad():
        for leaf in leaves:
            reg.before_step(leaf)


def train(reg, optimizer, loss, kernel, steps):
    for step in range(steps):
        reg.time = Time(step)
        train_step(reg, optimizer, kernel.w, loss, leaves(kernel))


def assert_orthonormal(*tensors):
    for w in tensors:
        gram = smaller_gram(w.detach())
        assert (gram - torch.eye(gram.shape[-1])).abs().max() < 1e-12


@SHAPE
def test_a_kernel_within_the_margin_is_not_changed_at_the_start(shape):
    u, v = bases(shape)
    w = with_values(u, values(shape, 1 - 0.97 * MARGIN, 1 + 0.97 * MARGIN), v)
    _, kernel = attached(w)
    torch.testing.assert_close(kernel.w.detach(), w, rtol=0, atol=1e-10)


@SHAPE
def test_singular_values_outside_start_at_the_margin_and_the_vectors_stay(shape):
    u, v = bases(shape)
    s = values(shape, 0.01, 3)
    _, kernel = attached(with_values(u, s, v))
    seen = u.mT @ kernel.w.detach() @ v
    found = seen.diagonal(dim1=-2, dim2=-1)
    clipped = s.clamp(GAIN * (1 - MARGIN), GAIN * (1 + MARGIN))
    assert (seen - torch.diag_embed(found)).abs().max() < 1e-12
    assert (found - clipped).abs().max() <= REACH * GAIN * MARGIN + 1e-12


@SHAPE
@pytest.mark.parametrize("margin", [0.0, 0.01, 0.2, 0.9])
def test_the_singular_values_are_the_sigmoids_of_p_on_the_band(margin, shape):
    _, kernel = attached(randn(*shape), margin)
    _, p, _ = leaves(kernel)
    with torch.no_grad():
        p.copy_(3 * randn(*p.shape))
    s = GAIN * (1 + 2 * margin * (torch.from_numpy(expit(p.detach().numpy())) - 0.5))
    same(svdvals(kernel.w), s.sort(-1, descending=True).values)


@SHAPE
@pytest.mark.parametrize("size", [1.0, 1e3, 1e300])
def test_no_p_takes_a_singular_value_out_of_the_band(size, shape):
    _, kernel = attached(randn(*shape))
    _, p, _ = leaves(kernel)
    with torch.no_grad():
        p.copy_(size * randn(*p.shape))
    found = svdvals(kernel.w)
    assert found.min() >= GAIN * (1 - MARGIN) - 1e-12
    assert found.max() <= GAIN * (1 + MARGIN) + 1e-12


@pytest.mark.parametrize("shape", slow_but(zip(SHAPES), 1, 3))
@BUILD
def test_100_steps_stay_in_the_band_with_orthonormal_factors(build, shape):
    reg, kernel = attached(randn(*shape))
    u, _, v = ours = leaves(kernel)
    start, c = kernel.w.detach().clone(), randn(*shape)
    train(reg, build(ours), lambda w: (w - c).square().sum(), kernel, 100)
    assert_orthonormal(u, v)
    found = svdvals(kernel.w)
    assert found.min() > GAIN * (1 - MARGIN) - 1e-12
    assert found.max() < GAIN * (1 + MARGIN) + 1e-12
    assert (kernel.w.detach() - start).norm() > 0.1


@SHAPE
@pytest.mark.parametrize("margin", [0.001, 0.1, 0.5])
def test_the_gradient_of_p_does_not_depend_on_the_margin(margin, shape):
    """g·σ′(p)·diag(UᵀGV), which is ∂L/∂p over 2·margin."""
    reg, kernel = attached(randn(*shape), margin)
    u, p, v = ours = leaves(kernel)
    c = randn(*shape)
    (kernel.w * c).sum().backward()
    raw = p.grad.clone()
    before_step(reg, ours)
    sigma = p.detach().sigmoid()
    along = torch.einsum("...im,...ij,...jm->...m", u.detach(), c, v.detach())
    same(p.grad, GAIN * sigma * (1 - sigma) * along)
    same(p.grad, raw / (2 * margin))


@SHAPE
def test_a_short_step_decreases_the_loss_by_rate_times_squared_gradient(shape):
    """2·margin times as much for p, whose gradient was divided by that."""
    u, v = bases(shape)
    reg, kernel = attached(with_values(u, values(shape, 1 - 0.9 * MARGIN, 1 + 0.9 * MARGIN), v))
    ours, c, rate = leaves(kernel), randn(*shape), 1e-6

    def loss(w):
        return (w - c).square().sum()

    before = loss(kernel.w).item()
    train(reg, torch.optim.SGD(ours, lr=rate), loss, kernel, 1)
    of_u, of_p, of_v = (leaf.grad.square().sum().item() for leaf in ours)
    assert min(of_u, of_p, of_v) > 1e-3
    expected = rate * (of_u + 2 * MARGIN * of_p + of_v)
    assert before - loss(kernel.w).item() == pytest.approx(expected, rel=1e-3)


@SHAPE
@BUILD
def test_without_a_margin_the_kernel_is_always_g_times_orthogonal(build, shape):
    reg, kernel = attached(randn(*shape), 0.0)
    ours, c = leaves(kernel), randn(*shape)
    start, optimizer = ours[1].detach().clone(), build(ours)
    for _ in range(20):
        assert orthogonality_gap(kernel.w.detach(), GAIN).max() < 1e-13
        train(reg, optimizer, lambda w: (w - c).square().sum(), kernel, 1)
    assert torch.equal(ours[1], start)


def descended(shape, s, margin):
    """A kernel after descent on its squared distance from U diag(s) Vᵀ, started near U, V and g; and U, V."""
    u, v = bases(shape)
    turned = []
    for basis in (u, v):
        a = 0.03 * randn(*shape[:-2], basis.shape[-1], basis.shape[-1])
        turned.append(basis @ torch.matrix_exp(a - a.mT))
    start = GAIN * torch.linspace(1.1, 0.9, s.shape[-1], dtype=torch.float64)
    reg, kernel = attached(with_values(turned[0], start, turned[1]), margin)
    ours, target = leaves(kernel), with_values(u, s, v)
    optimizer = torch.optim.SGD(ours, lr=0.2, momentum=0.9)
    train(reg, optimizer, lambda w: (w - target).square().sum(), kernel, 200)
    return kernel.w.detach(), u, v


@SHAPE
def test_a_target_within_the_band_is_reached(shape):
    """Its singular values lie apart, since vectors of equal ones may turn for ever."""
    s = GAIN * torch.linspace(1.4, 0.6, min(shape[-2:]), dtype=torch.float64)
    w, u, v = descended(shape, s, margin=0.5)
    torch.testing.assert_close(w, with_values(u, s, v), rtol=0, atol=1e-4)


@SHAPE
def test_a_target_outside_is_approached_at_the_edge_of_the_band(shape):
    s = GAIN * torch.linspace(2.0, 0.4, min(shape[-2:]), dtype=torch.float64)
    low, high = GAIN * 0.7, GAIN * 1.3
    w, u, v = descended(shape, s, margin=0.3)
    nearest = with_values(u, s.clamp(low, high), v)
    torch.testing.assert_close(w, nearest, rtol=0, atol=0.02)
    assert svdvals(w).max() < high and svdvals(w).min() > low


def test_every_kernel_that_is_attached_keeps_its_own_factors_orthonormal():
    reg, two = Spectral(GAIN, MARGIN), [Kernel(randn(6, 6)), Kernel(randn(4, 5, 8))]
    for kernel in two:
        reg.attach(kernel, "w")
    for kernel in two:
        u, _, v = ours = leaves(kernel)
        train(reg, torch.optim.SGD(ours, lr=0.1), lambda w: w.pow(3).sum(), kernel, 20)
        assert_orthonormal(u, v)


def test_the_report_counts_the_bases_that_needed_an_svd():
    reg, kernel = attached(randn(8, 5))
    ours = leaves(kernel)
    assert reg.report() == {"reg/svd_fallbacks": 0}
    (kernel.w * randn(8, 5)).sum().backward()
    before_step(reg, ours)
    with torch.no_grad():
        ours[0].add_(100 * randn(8, 5))
        for leaf in ours:
            reg.after_step(leaf, {})
    assert reg.report() == {"reg/svd_fallbacks": 1}
    assert_orthonormal(ours[0], ours[2])


@SHAPE
def test_a_saved_kernel_comes_back_bit_for_bit_whatever_it_is_loaded_into(shape):
    saved, loaded = (attached(randn(*shape))[1] for _ in range(2))
    assert not torch.equal(saved.w, loaded.w)
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(saved.w, loaded.w)


@pytest.mark.parametrize(
    ("option", "value"),
    [("gain", value) for value in (0, -1.0, float("nan"), float("inf"))]
    + [("margin", value) for value in (-0.1, 1, 1.5, float("nan"))],
)
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(ValueError, match=rf"^{option} must be .*, got {value}$"):
        Spectral(**{option: value})
