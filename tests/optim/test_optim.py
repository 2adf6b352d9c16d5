import io
import math

import numpy as np
import pytest
import torch
from cases import SHAPES, networks, part, parts, randn, same, small
from torch.nn.utils.parametrizations import orthogonal
from toys import fitted, learner

from isogain.config.errors import ConfigError
from isogain.optim import SGD, Adam, MatrixAdam, RMSprop, kernel_parameters
from isogain.reg.base import Regularizer
from isogain.reg.landing import Landing
from isogain.reg.lie import Lie
from isogain.reg.spectral import Spectral
from isogain.reg.stiefel import Stiefel

NAMES = sorted(parts("optim"))
LR, KERNEL_LR, GAIN_LR = 0.5, 0.125, 0.25
NONE = Regularizer()


def ids(parameters):
    return sorted(map(id, parameters))


def kernels(net):
    return [getattr(module, name) for module, name in net.kernels()]


def with_gradient_2(net, reg=NONE):
    for p in [*net.parameters(), *reg.scales()]:
        p.grad = torch.full_like(p, 2.0)
    return net


def attached(reg, net):
    for module, name in net.kernels():
        reg.attach(module, name)
    return reg


def moved_by(optimizer, tensors):
    """Which of the tensors a step changes."""
    before = [t.detach().clone() for t in tensors]
    optimizer.step()
    return [not torch.equal(t, old) for t, old in zip(tensors, before, strict=True)]


@pytest.fixture
def net():
    return small(parts("model")["mlp"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("build", networks())
def test_every_parameter_is_updated_exactly_once(build, name):
    net = build()
    groups = part("optim", name)(net, NONE).param_groups
    assert ids(p for group in groups for p in group["params"]) == ids(net.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("build", networks())
def test_kernels_alone_have_the_kernel_rate(build, name):
    net = build()
    groups = part("optim", name, lr=LR, kernel_lr=KERNEL_LR)(net, NONE).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    ours = {id(w) for w in kernels(net)}
    assert rates == {id(p): KERNEL_LR if id(p) in ours else LR for p in net.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_kernel_rate_all_learn_at_one_rate(name, net):
    assert {group["lr"] for group in part("optim", name, lr=LR)(net, NONE).param_groups} == {LR}


@pytest.mark.parametrize("name", NAMES)
def test_kernels_at_rate_0_stay_and_the_rest_moves(name, net):
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    part("optim", name, kernel_lr=0)(with_gradient_2(net), NONE).step()
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == before.keys() - {"kernel"}


@pytest.mark.parametrize("name", NAMES)
def test_a_parametrised_kernel_is_updated_through_what_parametrises_it(name, net):
    net.input = orthogonal(net.input)
    net.kernels = lambda: iter([(net.input, "weight")])
    (original,) = kernel_parameters(net)
    assert original is net.input.parametrizations.weight.original
    others, ours = part("optim", name, lr=LR, kernel_lr=KERNEL_LR)(net, NONE).param_groups
    assert ids(ours["params"]) == [id(original)] and ours["lr"] == KERNEL_LR
    assert ids(others["params"] + ours["params"]) == ids(net.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("build", networks(depths=(2,)))
@pytest.mark.parametrize("make", [Lie, Spectral])
def test_what_a_regulariser_makes_of_the_kernels_has_their_rate_and_the_rest_has_not(
    make, build, name
):
    net = build()
    reg = attached(make(), net)
    optimizer = part("optim", name, lr=LR, kernel_lr=KERNEL_LR)(net, reg)
    others, ours = optimizer.param_groups
    made = [p for module, k in net.kernels() for p in module.parametrizations[k].parameters()]
    assert ids(ours["params"]) == ids(made)
    assert ids(others["params"] + made) == ids(net.parameters())
    assert (others["lr"], ours["lr"]) == (LR, KERNEL_LR)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gain_lr", [GAIN_LR, None])
def test_learned_gains_have_a_group_and_a_rate_of_their_own(gain_lr, name, net):
    reg = attached(Stiefel(gain="learned"), net)
    optim = part("optim", name, lr=LR, kernel_lr=KERNEL_LR, gain_lr=gain_lr)
    others, ours, gains = optim(net, reg).param_groups
    assert ids(ours["params"]) == ids(kernels(net))
    assert ids(others["params"] + ours["params"]) == ids(net.parameters())
    assert ids(gains["params"]) == ids(reg.scales()) != []
    assert (others["lr"], ours["lr"], gains["lr"]) == (LR, KERNEL_LR, gain_lr or LR)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frozen", ["kernel_lr", "gain_lr"])
def test_at_rate_0_either_kernels_or_gains_stay(frozen, name, net):
    reg = attached(Stiefel(gain="learned"), net)
    optimizer = part("optim", name, **{frozen: 0})(with_gradient_2(net, reg), reg)
    moved = moved_by(optimizer, [net.output.weight, net.kernel, *reg.scales()])
    assert moved == [True, frozen != "kernel_lr", frozen != "gain_lr"]


@pytest.mark.parametrize(
    ("optim", "step"),
    [
        (SGD(lr=LR), LR * 2),
        (Adam(lr=LR), LR),
        (RMSprop(lr=LR, alpha=0.75), LR / math.sqrt(1 - 0.75)),
    ],
    ids=["sgd: lr g", "adam: lr sign g", "rmsprop: lr sign g over root of 1 - alpha"],
)
def test_the_first_step_is_that_of_the_paper(optim, step, net):
    before = net.output.weight.detach().clone()
    optim(with_gradient_2(net), NONE).step()
    torch.testing.assert_close(
        before - net.output.weight.detach(), torch.full_like(before, step), rtol=1e-7, atol=1e-7
    )


def test_momentum_is_a_geometric_sum_of_gradients(net):
    optimizer, before = SGD(lr=LR, momentum=0.5)(net, NONE), net.kernel.detach().clone()
    for _ in range(3):
        with_gradient_2(net)
        optimizer.step()
    same(before - net.kernel.detach(), torch.full_like(before, LR * 2 * (1 + 1.5 + 1.75)))


@pytest.mark.parametrize(
    ("optim", "option", "value"),
    [
        (optim, option, value)
        for optim in (SGD, Adam, RMSprop)
        for option, bad in {
            "lr": [0, -1, math.nan, math.inf],
            "kernel_lr": [-1e-9, math.nan, math.inf],
            "gain_lr": [-1e-9, math.nan, math.inf],
            "grad_clip": [0, -1, math.nan],
        }.items()
        for value in bad
    ]
    + [
        (optim, option, value)
        for optim, option in [
            (SGD, "momentum"),
            (Adam, "beta1"),
            (Adam, "beta2"),
            (RMSprop, "alpha"),
            (RMSprop, "momentum"),
        ]
        for value in [-0.1, 1, math.nan]
    ],
)
def test_an_option_out_of_range_is_refused_by_name(optim, option, value):
    with pytest.raises(ValueError, match=rf"^{option} must be .*, got {value}$"):
        optim(**{option: value})


RATE, BETAS, EPS = 0.01, (0.8, 0.95), 1e-3


def by_hand(w, grads, rate=RATE):
    """Adam with one second moment a matrix, written out in numpy."""
    w, m, v = w.numpy().copy(), 0.0, 0.0
    for t, g in enumerate(grads, 1):
        m = BETAS[0] * m + (1 - BETAS[0]) * g.numpy()
        v = BETAS[1] * v + (1 - BETAS[1]) * (g.numpy() ** 2).mean((-2, -1), keepdims=True)
        first, second = m / (1 - BETAS[0] ** t), v / (1 - BETAS[1] ** t)
        w -= rate * first / (np.sqrt(second) + EPS)
    return torch.from_numpy(w)


def scalar(*params, **options):
    """MatrixAdam with one second moment a matrix."""
    group = {"params": params, "per_matrix": True}
    return MatrixAdam([group], **({"lr": RATE, "betas": BETAS, "eps": EPS} | options))


def stepped(optimizer, params, grads):
    """The parameters after a step along each of the lists of gradients."""
    for step in grads:
        for p, g in zip(params, step, strict=True):
            p.grad = None if g is None else g.clone()
        optimizer.step()
    return [p.detach().clone() for p in params]


def gradients(steps, *shapes):
    """Of very different sizes from step to step."""
    return [[10 ** torch.randn(()) * randn(*shape) for shape in shapes] for _ in range(steps)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("per_matrix", [{}, {"per_matrix": False}], ids=["unset", "false"])
def test_elementwise_adam_is_that_of_torch_bit_for_bit(per_matrix, fused, dtype):
    start = [randn(*shape).to(dtype) for shape in [*SHAPES, (7,)]]
    grads = [[g.to(dtype) for g in step] for step in gradients(20, *SHAPES, (7,))]
    ours, theirs = ([w.clone().requires_grad_() for w in start] for _ in range(2))
    options = {"lr": RATE, "betas": BETAS, "eps": EPS, "fused": fused}
    found = stepped(MatrixAdam([{"params": ours, **per_matrix}], **options), ours, grads)
    expected = stepped(torch.optim.Adam(theirs, **options), theirs, grads)
    assert all(map(torch.equal, found, expected))
    assert not any(map(torch.equal, found, start))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_scalar_adam_is_the_formula_with_the_mean_square_of_each_matrix(shape, fused):
    start, grads = randn(*shape), gradients(20, shape)
    w = start.clone().requires_grad_()
    (found,) = stepped(scalar(w, fused=fused), [w], grads)
    same(found, by_hand(start, [g for (g,) in grads]))


def test_scalar_adam_of_1_by_1_matrices_is_the_adam_of_torch():
    start, grads = randn(6, 1, 1), gradients(20, (6, 1, 1))
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    expected = torch.optim.Adam([theirs], lr=RATE, betas=BETAS, eps=EPS)
    same(stepped(scalar(ours), [ours], grads), stepped(expected, [theirs], grads))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scalar_step_is_along_the_first_moment_of_each_matrix(shape):
    w = randn(*shape).requires_grad_()
    optimizer = scalar(w)
    for grads in gradients(5, shape):
        before = w.detach().clone()
        (after,) = stepped(optimizer, [w], [grads])
        moment = optimizer.state[w]["exp_avg"]
        cosine = ((before - after) * moment).sum((-2, -1)) / (
            torch.linalg.matrix_norm(before - after) * torch.linalg.matrix_norm(moment)
        )
        same(cosine, torch.ones_like(cosine))


def test_matrices_of_a_stack_do_not_see_each_other():
    start, grads = randn(4, 6, 6), gradients(10, (4, 6, 6))
    together = start.clone().requires_grad_()
    alone = [matrix.clone().requires_grad_() for matrix in start]
    (found,) = stepped(scalar(together), [together], grads)
    same(found, torch.stack(stepped(scalar(*alone), alone, [list(g) for (g,) in grads])))
    other = start.clone().requires_grad_()
    for (g,) in grads:
        g[1:] *= 1e3
    (moved,) = stepped(scalar(other), [other], grads)
    assert torch.equal(moved[0], found[0]) and not torch.equal(moved[1], found[1])


@pytest.mark.parametrize("fused", [True, False])
def test_adam_saved_half_way_goes_on_bit_for_bit(fused):
    shapes = [(8, 5), (4, 6, 6), (7,)]
    start, grads = [randn(*shape) for shape in shapes], gradients(20, *shapes)

    def build(values):
        params = [w.clone().requires_grad_() for w in values]
        groups = [{"params": params[:2], "per_matrix": True}, {"params": params[2:]}]
        return params, MatrixAdam(groups, lr=RATE, betas=BETAS, eps=EPS, fused=fused)

    params, optimizer = build(start)
    half = stepped(optimizer, params, grads[:10])
    torch.save(optimizer.state_dict(), file := io.BytesIO())
    resumed, loaded = build(half)
    loaded.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    expected = stepped(optimizer, params, grads[10:])
    found = stepped(loaded, resumed, grads[10:])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_scalar_adam_skips_a_parameter_without_a_gradient():
    with_one, without = (randn(5, 5).requires_grad_() for _ in range(2))
    optimizer, start = scalar(with_one, without), without.detach().clone()
    (grad,) = gradients(1, (5, 5))
    _, after = stepped(optimizer, [with_one, without], [[*grad, None]] * 3)
    assert torch.equal(after, start) and without not in optimizer.state
    (late,) = gradients(1, (5, 5))  # its first step, not its fourth
    _, after = stepped(optimizer, [with_one, without], [[None, *late]])
    same(after, by_hand(start, late))


def test_scalar_adam_follows_a_learning_rate_schedule():
    """A constant gradient c is stepped along by rate · sign c."""
    w = torch.zeros(4, 5, 5, dtype=torch.float64, requires_grad=True)
    optimizer = scalar(w, eps=0.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    for _ in range(5):
        w.grad = torch.full_like(w, -3.0)
        optimizer.step()
        scheduler.step()
    same(w.detach(), torch.full_like(w, RATE * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5)))


@pytest.mark.parametrize("kind", ["scalar", "elementwise"])
def test_a_regulariser_says_which_second_moment_the_kernels_have_and_they_alone(kind, net):
    reg = attached(Stiefel(gain="learned", adam=kind), net)
    others, ours, gains = Adam()(net, reg).param_groups
    assert bool(ours.get("per_matrix")) == (kind == "scalar")
    assert not others.get("per_matrix") and not gains.get("per_matrix")


@pytest.mark.parametrize(
    ("reg", "scalar"),
    [(NONE, False), (Lie(), False), (Spectral(), False), (Stiefel(), False), (Landing(), True)],
    ids=lambda value: type(value).__name__,
)
def test_adam_trains_the_kernels_of_every_regulariser(reg, scalar, net):
    optimizer = Adam(lr=LR)(net, attached(reg, net))
    with_gradient_2(net)
    ours = list(kernel_parameters(net))
    assert all(moved_by(optimizer, ours))
    moments = [optimizer.state[w]["exp_avg_sq"].shape for w in ours]
    assert moments == [(*w.shape[:-2], 1, 1) if scalar else w.shape for w in ours]


def test_scalar_adam_steps_by_the_rate_where_all_entries_of_the_gradient_are_equal(net):
    before = net.kernel.detach().clone()
    Adam(lr=LR)(with_gradient_2(net), Landing()).step()
    torch.testing.assert_close(
        before - net.kernel.detach(), torch.full_like(before, LR), rtol=1e-7, atol=1e-7
    )


def rates(schedule, net, steps, total):
    """Of all groups at each step, relative to those at the start."""
    optim = SGD(lr=LR, kernel_lr=KERNEL_LR, gain_lr=GAIN_LR, schedule=schedule)
    optimizer = optim(net, attached(Stiefel(gain="learned"), net))
    scheduler, seen = optim.scheduler(optimizer, total), []
    for _ in range(steps):
        now = [group["lr"] for group in optimizer.param_groups]
        seen.append([a / b for a, b in zip(now, (LR, KERNEL_LR, GAIN_LR), strict=True)])
        optimizer.step()
        scheduler.step()
    return np.array(seen)


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [("linear", lambda t: 1 - t), ("cosine", lambda t: (1 + np.cos(np.pi * t)) / 2)],
    ids=["linear", "cosine"],
)
def test_all_rates_fall_together_to_zero_and_stay_there(schedule, factor, net):
    expected = factor(np.minimum(np.arange(14) / 10, 1))
    np.testing.assert_allclose(
        rates(schedule, net, 14, 10), np.stack([expected] * 3, 1), atol=1e-15
    )


def test_the_cosine_is_that_of_torch(net):
    other = torch.optim.SGD([randn(2).requires_grad_()], lr=1.0)
    annealing, expected = torch.optim.lr_scheduler.CosineAnnealingLR(other, 10), []
    for _ in range(10):
        expected.append(annealing.get_last_lr() * 3)
        other.step()
        annealing.step()
    np.testing.assert_allclose(rates("cosine", net, 10, 10), expected, rtol=1e-12)


def test_a_constant_rate_needs_no_scheduler(net):
    optim = SGD(schedule="constant")
    assert optim.scheduler(optim(net, NONE), 10) is None


@pytest.mark.parametrize("name", NAMES)
def test_an_optimiser_keeps_one_second_moment_a_matrix_where_it_declares_that_it_can(name, net):
    optim = part("optim", name)
    ours = optim(net, attached(Landing(), net)).param_groups[1]
    assert ours.get("per_matrix", False) == optim.second_moment_per_matrix


class Unknown(SGD):
    """Ours, of an optimiser that declares nothing."""

    def __call__(self, net, reg):
        return torch.optim.ASGD(self.groups(net, reg))


class Declared(Unknown):
    moments = {"ax": "tangent"}


@pytest.mark.parametrize("reg", [Stiefel, Spectral])
def test_training_refuses_an_optimiser_that_declares_nothing_where_the_kernels_are_on_a_manifold(
    reg, tmp_path
):
    with pytest.raises(ConfigError, match=r"^optim: ASGD does not declare .* moments="):
        fitted(tmp_path / "a", model=learner(reg(), Unknown()), max_steps=1)
    fitted(tmp_path / "b", model=learner(reg(), Declared()), max_steps=1)
    fitted(tmp_path / "c", model=learner(NONE, Unknown()), max_steps=1)
