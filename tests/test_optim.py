import math

import pytest
import torch
from cases import networks, part, parts, same, small
from torch.nn.utils.parametrizations import orthogonal

from isogain.optim import SGD, Adam, RMSprop, kernel_parameters

NAMES = sorted(parts("optim"))
LR, KERNEL_LR = 0.5, 0.125


def ids(parameters):
    return sorted(map(id, parameters))


def kernels(net):
    return [getattr(module, name) for module, name in net.kernels()]


def with_gradient_2(net):
    for p in net.parameters():
        p.grad = torch.full_like(p, 2.0)
    return net


@pytest.fixture
def net():
    return small(parts("model")["mlp"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("build", networks())
def test_every_parameter_is_updated_exactly_once(build, name):
    net = build()
    groups = part("optim", name)(net).param_groups
    assert ids(p for group in groups for p in group["params"]) == ids(net.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("build", networks())
def test_kernels_alone_have_the_kernel_rate(build, name):
    net = build()
    groups = part("optim", name, lr=LR, kernel_lr=KERNEL_LR)(net).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    ours = {id(w) for w in kernels(net)}
    assert rates == {id(p): KERNEL_LR if id(p) in ours else LR for p in net.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_kernel_rate_all_learn_at_one_rate(name, net):
    assert {group["lr"] for group in part("optim", name, lr=LR)(net).param_groups} == {LR}


@pytest.mark.parametrize("name", NAMES)
def test_kernels_at_rate_0_stay_and_the_rest_moves(name, net):
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    part("optim", name, kernel_lr=0)(with_gradient_2(net)).step()
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == before.keys() - {"kernel"}


@pytest.mark.parametrize("name", NAMES)
def test_a_parametrised_kernel_is_updated_through_what_parametrises_it(name, net):
    net.input = orthogonal(net.input)
    net.kernels = lambda: iter([(net.input, "weight")])
    (original,) = kernel_parameters(net)
    assert original is net.input.parametrizations.weight.original
    others, ours = part("optim", name, lr=LR, kernel_lr=KERNEL_LR)(net).param_groups
    assert ids(ours["params"]) == [id(original)] and ours["lr"] == KERNEL_LR
    assert ids(others["params"] + ours["params"]) == ids(net.parameters())


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
    optim(with_gradient_2(net)).step()
    torch.testing.assert_close(
        before - net.output.weight.detach(), torch.full_like(before, step), rtol=1e-7, atol=1e-7
    )


def test_momentum_is_a_geometric_sum_of_gradients(net):
    optimizer, before = SGD(lr=LR, momentum=0.5)(net), net.kernel.detach().clone()
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
