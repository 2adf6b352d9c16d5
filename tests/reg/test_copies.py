"""A regulariser may be copied, pickled, saved and converted between any two steps, with its kernel and optimiser."""

import copy
import io
import pickle
from functools import partial

import pytest
import torch
from cases import Kernel, part, randn, regularizers, same, slow_but, train_step

from isogain import optim
from isogain.linalg import orthogonality_gap
from isogain.optim import kernel_parameters

BUILDERS = {
    **regularizers(1.2),
    "manifold-learned": part("reg", "manifold", "learned", _partial_=True),
    "manifold-qr": part("reg", "manifold", retraction="qr", adam="scalar", _partial_=True),
    "oblique-learned": part("reg", "oblique", "learned", _partial_=True),
    "hard-margin": part("reg", "hard", margin=0.1, _partial_=True),
}
PARAMETRISED = {"exp", "cayley", "spectral"}  # torch refuses to pickle such modules
OPTIMS = [optim.SGD(lr=0.05, momentum=0.9), optim.Adam(lr=0.01), optim.RMSprop(lr=0.01)]
SHAPES = [(5, 5), (2, 4, 6)]
every_reg = pytest.mark.parametrize("name", BUILDERS)


def saved(parts):
    torch.save(parts, file := io.BytesIO())
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda parts: pickle.loads(pickle.dumps(parts)),
    "save": saved,
}
WITH_KERNELS = [
    (name, how)
    for name in BUILDERS
    for how in COPIES
    if how == "deepcopy" or name not in PARAMETRISED
]


def built(name, w, build=OPTIMS[0]):
    """Kernel, regulariser, optimiser."""
    reg, kernel = BUILDERS[name](), Kernel(w)
    reg.attach(kernel, "w")
    return kernel, reg, build(kernel, reg)


def step(parts, target):
    kernel, reg, optimizer = parts
    leaves = list(kernel_parameters(kernel))
    train_step(reg, optimizer, kernel.w, lambda w: (w - target).square().sum(), leaves)
    return kernel.w.detach()


@pytest.mark.parametrize("shape", slow_but(zip(SHAPES), 1, 3))
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize(("name", "how"), WITH_KERNELS)
def test_a_copy_goes_on_as_the_original_and_leaves_it_alone(name, how, steps, shape):
    target = randn(*shape)
    for build in OPTIMS:
        parts = built(name, randn(*shape), build)
        for _ in range(steps):
            step(parts, target)
        twin = COPIES[how](parts)
        before = parts[0].w.detach().clone()
        found = [step(twin, target).clone() for _ in range(2)]
        assert torch.equal(parts[0].w.detach(), before)
        expected = [step(parts, target).clone() for _ in range(2)]
        assert all(map(torch.equal, found, expected))
        assert not torch.equal(found[-1], before)


@pytest.mark.parametrize("how", COPIES)
@every_reg
def test_a_regulariser_alone_is_copied_after_a_step_with_its_options_and_state(name, how):
    parts = built(name, randn(5, 5))
    step(parts, randn(5, 5))
    twin = COPIES[how](parts[1])
    assert twin.options() == parts[1].options() and twin.report() == parts[1].report()
    for (key, value), (other, expected) in zip(
        twin.state_dict().items(), parts[1].state_dict().items(), strict=True
    ):
        assert key == other and torch.equal(value, expected)


@every_reg
def test_the_state_that_is_loaded_into_another_goes_on_as_the_original(name):
    target = randn(2, 4, 6)
    for build in OPTIMS:
        parts, twin = (built(name, randn(2, 4, 6), build) for _ in range(2))
        for _ in range(2):
            step(parts, target)
        for mine, theirs in zip(twin, parts, strict=True):
            mine.load_state_dict(copy.deepcopy(theirs.state_dict()))
        assert torch.equal(step(twin, target), step(parts, target))


@every_reg
def test_converted_between_two_steps_it_goes_on_in_the_new_precision(name):
    """As one that was built where the conversion left the kernel, to float64's rounding."""
    target = randn(2, 4, 6)
    parts = built(name, randn(2, 4, 6).float(), partial(without_momentum, lr=0.05))
    step(parts, target.float())
    for module in parts[:2]:
        module.double()
    twin = copy.deepcopy(parts)  # knows nothing of the step before
    found, expected = step(parts, target), step(twin, target)
    assert found.dtype == torch.float64
    same(found, expected)
    if name.startswith(("hard", "manifold", "cayley", "exp")) and name != "hard-margin":
        gain = parts[1].gain_of(parts[0].w)
        assert orthogonality_gap(found, gain).max() < 1e-6


def without_momentum(kernel, reg, lr):
    leaves = [*kernel_parameters(kernel), *reg.scales()]
    return torch.optim.SGD(leaves, lr=lr)


@pytest.mark.parametrize("name", ["srip", "manifold-learned", "oblique-learned", "spectral"])
def test_a_copy_without_its_kernel_says_that_it_is_not_attached_to_the_original(name):
    kernel, reg, _ = built(name, randn(5, 5))
    twin = copy.deepcopy(reg)
    (leaf, *_) = kernel_parameters(kernel)
    leaf.grad = torch.ones_like(leaf)
    with torch.no_grad(), pytest.raises(ValueError, match="^the regulariser is attached to other"):
        twin.before_step(leaf)
