"""`regularize` around any optimiser: the same weights as the regulariser on one of our stacks, or a refusal."""

import logging
from functools import partial

import pytest
import torch
from cases import Kernel, part, randn, regularizers, same, train_step
from torch import nn, optim

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap
from isogain.optim import Adam, kernel_parameters
from isogain.reg import DoubleSoft, Lie, Manifold, Regularizer, Soft, Spectral, Stiefel, regularize

SHAPE = (3, 4, 4)
BUILDERS = {
    **regularizers(1.2),
    "manifold-learned": part("reg", "manifold", "learned", _partial_=True),
    "oblique-learned": part("reg", "oblique", "learned", _partial_=True),
}
OPTIMIZERS = {
    "sgd": partial(optim.SGD, lr=0.05),
    "nesterov": partial(optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
    "sgd-fused": partial(optim.SGD, lr=0.05, momentum=0.9, fused=True),
    "adam": partial(optim.Adam, lr=0.05),
    "adam-fused": partial(optim.Adam, lr=0.05, amsgrad=True, fused=True),
    "adam-foreach": partial(optim.Adam, lr=0.05, foreach=True),
    "adam-tensor": partial(optim.Adam, lr=torch.tensor(0.05), fused=True),
    "adamw": partial(optim.AdamW, lr=0.05),
    "rmsprop": partial(optim.RMSprop, lr=0.01, momentum=0.9, centered=True),
    "adagrad": partial(optim.Adagrad, lr=0.05),
    "nadam": partial(optim.NAdam, lr=0.05),
    "muon": partial(optim.Muon, lr=0.05),
}


class Weights(nn.Module):
    """Separate matrices."""

    def __init__(self, w):
        super().__init__()
        self.ws = nn.ParameterList(nn.Parameter(m.clone()) for m in w)

    def loss(self, target):
        return sum((w - t).square().sum() for w, t in zip(self.ws, target, strict=True))


def attached(name, w):
    reg, kernel = BUILDERS[name](), Kernel(w)
    reg.attach(kernel, "w")
    return reg, kernel


def give_drawn(source, target):
    """What a regulariser drew when it was attached."""
    for theirs, ours in zip(source.buffers(), target.buffers(), strict=True):
        ours.copy_(theirs)


@pytest.mark.parametrize("name", [n for n in BUILDERS if n not in ("exp", "cayley", "spectral")])
def test_separate_parameters_move_as_the_same_regulariser_moves_our_stack(name):
    w, target = randn(*SHAPE), randn(*SHAPE)
    reg, kernel = attached(name, w)
    build = partial(optim.SGD, lr=0.05, momentum=0.9)
    ours = build([*kernel_parameters(kernel), *reg.scales()])
    net, theirs = Weights(w), BUILDERS[name]()
    optimizer = build(net.parameters())
    handle = regularize(optimizer, net, theirs, match="ws.*", steps=10, steps_per_epoch=5)
    give_drawn(reg, theirs)
    for step in range(4):
        reg.time = handle.clock.time(step)
        train_step(reg, ours, kernel.w, lambda w: (w - target).square().sum())
        optimizer.zero_grad()
        net.loss(target).backward()
        optimizer.step()
    same(torch.stack(list(net.ws)).detach(), kernel.w.detach())
    assert handle.step == 4


@pytest.mark.parametrize("name", ["exp", "cayley", "spectral"])
@pytest.mark.parametrize("split", [False, True])
def test_a_parametrisation_moves_as_the_same_one_on_our_kernel(name, split):
    w, target = randn(*SHAPE), randn(*SHAPE)
    reg, kernel = attached(name, w)
    build = partial(optim.Adam, lr=0.05)
    ours = build(kernel_parameters(kernel))
    gru = nn.GRUCell(2, 4, bias=False).double()
    with torch.no_grad():
        gru.weight_hh.copy_(w.flatten(0, 1))
    optimizer = build(gru.parameters())
    options = {"blocks": 3} if split else {"view": lambda w: w.view(3, 4, 4)}
    handle = regularize(optimizer, (gru, "weight_hh"), BUILDERS[name](), **options)
    for _ in range(3):
        train_step(
            reg,
            ours,
            kernel.w,
            lambda w: (w - target).square().sum(),
            list(kernel_parameters(kernel)),
        )
        optimizer.zero_grad()
        (gru.weight_hh.view(3, 4, 4) - target).square().sum().backward()
        optimizer.step()
    same(gru.weight_hh.detach().view(3, 4, 4), kernel.w.detach())
    last = gru.weight_hh.detach().clone()
    handle.remove()
    assert type(gru.weight_hh) is nn.Parameter and torch.equal(gru.weight_hh.detach(), last)
    assert [p for g in optimizer.param_groups for p in g["params"] if p is gru.weight_hh]


@pytest.mark.parametrize("shape", [(4, 4), (6, 4), (4, 6)])
@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_any_optimiser_lowers_the_loss_on_the_manifold(build, shape):
    target = orthogonal_(randn(2, *shape))
    net = Weights(target + 0.3 * randn(2, *shape))
    optimizer = build(net.parameters())
    regularize(optimizer, net, Stiefel(), match="*")
    before = net.loss(target).item()
    for _ in range(3):
        optimizer.zero_grad()
        net.loss(target).backward()
        optimizer.step()
        assert all(orthogonality_gap(w.detach()).max() < 1e-12 for w in net.ws)
    assert net.loss(target).item() < before


def test_a_second_moment_one_a_matrix_is_kept_by_the_optimiser_that_can():
    kernel = Kernel(randn(2, 4, 4))
    optimizer = Adam(lr=0.1)(kernel, Regularizer())
    regularize(optimizer, kernel, Stiefel(adam="scalar"))
    kernel.w.square().sum().backward()
    optimizer.step()
    assert optimizer.state[kernel.w]["exp_avg_sq"].shape == (2, 1, 1)


@pytest.mark.parametrize("build", [partial(optim.SGD, momentum=0.9), optim.Adam, optim.AdamW])
@pytest.mark.parametrize(
    "name", ["manifold", "hard", "oblique", "exp", "spectral", "manifold-learned"]
)
def test_weight_decay_does_not_turn_a_held_kernel(name, build, caplog):
    caplog.set_level(logging.INFO, "isogain")
    layer = nn.Linear(4, 4).double()
    optimizer = build(layer.parameters(), lr=0.1, weight_decay=0.5)
    regularize(optimizer, (layer, "weight"), BUILDERS[name]())
    start, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        (0 * layer(torch.ones(4, dtype=torch.float64)).sum()).backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), start, rtol=0, atol=1e-12)
    assert not torch.equal(layer.bias.detach(), bias)
    assert any("weight_decay 0.5 -> 0" in line for line in caplog.messages)


def test_a_soft_penalty_leaves_the_weight_decay():
    layer = nn.Linear(4, 4)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.5)
    regularize(optimizer, layer, Soft())
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.5]


class OwnPenalty(Regularizer):
    """By its definition alone."""

    def penalty(self, w):
        return 0.5 * w.square().sum()


def test_a_penalty_without_a_closed_form_is_differentiated():
    w = nn.Parameter(randn(3, 3))
    start = w.detach().clone()
    optimizer = optim.SGD([w], lr=0.1)
    handle = regularize(optimizer, w, OwnPenalty())
    same(handle.penalty(), 0.5 * start.square().sum())
    w.sum().backward()
    optimizer.step()
    same(w.detach(), start - 0.1 * (1 + start))


def layer_and(build=optim.SGD, **options):
    layer = nn.Linear(4, 4)
    return layer, build(layer.parameters(), **({"lr": 0.1} | options))


def scheduled(**options):
    layer, optimizer = layer_and(**options)
    optim.lr_scheduler.StepLR(optimizer, 1)
    return layer, optimizer


def test_an_optimiser_that_evaluates_within_its_step_is_refused():
    layer, optimizer = layer_and(optim.LBFGS)
    with pytest.raises(ValueError, match="^LBFGS "):
        regularize(optimizer, layer, Soft())


@pytest.mark.parametrize(
    ("made", "reg", "reason"),
    [
        (scheduled(weight_decay=0.1), Stiefel(), "then build the scheduler"),
        (scheduled(), Stiefel(gain="learned"), "then build the scheduler"),
        (layer_and(optim.Rprop), Stiefel(), "Rprop does not declare"),
        (layer_and(), Soft(schedule="cosine"), "pass steps="),
        (layer_and(), Soft(epochs=3), "pass steps_per_epoch="),
        (layer_and(), Soft(onset=1), "pass steps_per_epoch="),
    ],
)
def test_what_is_missing_is_refused_before_anything_changes(made, reg, reason):
    layer, optimizer = made
    start, groups = layer.weight.detach().clone(), len(optimizer.param_groups)
    with pytest.raises(ValueError, match=reason):
        regularize(optimizer, layer, reg)
    assert torch.equal(layer.weight.detach(), start) and len(optimizer.param_groups) == groups
    assert not optimizer._optimizer_step_pre_hooks


def test_an_unknown_optimiser_is_taken_with_its_moments():
    layer, optimizer = layer_and(optim.Rprop)
    regularize(optimizer, layer, Stiefel(), moments={"prev": "tangent"})
    layer(torch.ones(4)).sum().backward()
    optimizer.step()
    assert orthogonality_gap(layer.weight.detach()).max() < 1e-5


def test_a_bare_parameter_cannot_be_exchanged():
    layer, optimizer = layer_and()
    with pytest.raises(ValueError, match=r"pass \(module, name\)"):
        regularize(optimizer, layer.weight, Lie())


def test_a_tied_parameter_cannot_be_exchanged_and_can_be_held():
    layer, optimizer = layer_and()
    other = nn.Linear(4, 4)
    other.weight = layer.weight
    with pytest.raises(ValueError, match="which several modules share"):
        regularize(optimizer, layer, Lie())
    regularize(optimizer, nn.Sequential(layer, other), Stiefel(), match="*.weight")


@pytest.mark.parametrize("reg", [Lie, Spectral])
def test_a_compiled_module_is_regularised_before_it_is_compiled(reg):
    layer, optimizer = layer_and()
    with pytest.raises(ValueError, match="before OptimizedModule wraps"):
        regularize(optimizer, torch.compile(layer), reg())


def test_a_parameter_of_another_optimiser_is_refused():
    _, optimizer = layer_and()
    with pytest.raises(ValueError, match="not among the optimiser's parameters"):
        regularize(optimizer, nn.Linear(2, 2), Stiefel())


def test_two_handles_hold_one_parameter_only_if_both_are_penalties():
    layer, optimizer = layer_and()
    first = regularize(optimizer, layer, Soft())
    regularize(optimizer, layer, DoubleSoft())
    with pytest.raises(ValueError, match="held by Soft already"):
        regularize(optimizer, layer, Stiefel())
    first.remove()
    with pytest.raises(ValueError, match="held by DoubleSoft already"):
        regularize(optimizer, layer, Stiefel())


class Wrapper:
    """As libraries wrap an optimiser."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.step()


def test_a_wrapped_optimiser_is_reached():
    layer, optimizer = layer_and()
    wrapped = Wrapper(optimizer)
    regularize(wrapped, layer, Stiefel())
    layer(torch.ones(4)).sum().backward()
    wrapped.step()
    assert orthogonality_gap(layer.weight.detach()).max() < 1e-6
    with pytest.raises(TypeError, match="must be a torch optimiser or wrap one, got Wrapper"):
        regularize(Wrapper(None), layer, Stiefel())


def test_a_channels_last_convolution_is_held_through_its_view():
    conv = nn.Conv2d(3, 5, 3).double().to(memory_format=torch.channels_last)
    optimizer = optim.SGD(conv.parameters(), lr=0.1, momentum=0.9)
    twin = nn.Parameter(conv.weight.detach().flatten(1).clone())
    alone = optim.SGD([twin], lr=0.1, momentum=0.9)
    regularize(optimizer, conv, Stiefel(), view=lambda w: w.flatten(1))
    regularize(alone, twin, Stiefel())
    target = randn(5, 3, 3, 3)
    for _ in range(3):
        optimizer.zero_grad()
        alone.zero_grad()
        (
            (conv.weight - target).square().sum() + (twin - target.flatten(1)).square().sum()
        ).backward()
        optimizer.step()
        alone.step()
    same(conv.weight.detach().flatten(1), twin.detach())
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_autocast_does_not_reach_the_constraint():
    layer, optimizer = layer_and()
    regularize(optimizer, layer, Stiefel())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(torch.ones(4)).sum().backward()
        optimizer.step()
    assert orthogonality_gap(layer.weight.detach()).max() < 1e-6


def test_every_regulariser_that_we_ship_is_a_case():
    kinds = {type(build()) for build in BUILDERS.values()}
    import isogain.reg as room

    shipped = {v for v in vars(room).values() if isinstance(v, type) and issubclass(v, Regularizer)}
    assert shipped - {Manifold, room.Penalty} <= kinds
