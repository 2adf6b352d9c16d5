"""In half precision the mathematics is that of float32, rounded: nothing reaches LAPACK, which has none."""

from functools import partial

import pytest
import torch
from cases import SHAPES, Kernel, networks, part, randn, regularizers, slow_but, train_step
from torch.nn.functional import cross_entropy

from isogain import linalg
from isogain.diagnostics import (
    correlations,
    curvature,
    fisher_eigenvalues,
    gradient_norms,
    kernel_gaps,
    kernel_spectra,
    ntk_spectrum,
    signal_gradient_norms,
    signals,
)
from isogain.linalg import newton_schulz
from isogain.linalg.per_core import log_abs_dets, singular_values
from isogain.optim import kernel_parameters

HALF = [torch.bfloat16, torch.float16]
BUILDERS = {
    **regularizers(1.2),
    "manifold-learned": part("reg", "manifold", "learned", _partial_=True),
    **{
        f"manifold-{name}": part("reg", "manifold", retraction=name, _partial_=True)
        for name in ("polar", "qr", "cayley")
    },
    **{f"hard-{name}": part("reg", "hard", method=name, _partial_=True) for name in ("svd", "qr")},
    "hard-margin": part("reg", "hard", margin=0.1, _partial_=True),
    "oblique-learned": part("reg", "oblique", "learned", _partial_=True),
}
half = pytest.mark.parametrize("dtype", HALF, ids=str)
square = [shape for shape in SHAPES if shape[-2] == shape[-1]]


def projected(w, gain=1.0):
    newton_schulz.project_(found := w.clone(), gain)
    return found


FUNCTIONS = {
    "svd": linalg.svd,
    "polar": linalg.polar,
    "orthonormal": linalg.orthonormal,
    "gram_error": partial(linalg.gram_error, gain=1.2),
    "orthogonality_gap": partial(linalg.orthogonality_gap, gain=1.2),
    "project_": partial(projected, gain=1.2),
    "singular_values": lambda w: singular_values(w.reshape(-1, *w.shape[-2:])),
}
ON_SQUARES = {
    "solve": lambda w: linalg.solve(w, w.mT.contiguous()),
    "log_abs_dets": lambda w: log_abs_dets(w.reshape(-1, *w.shape[-2:])),
}


@half
@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in FUNCTIONS for shape in SHAPES]
    + [(name, shape) for name in ON_SQUARES for shape in square],
)
def test_a_function_of_matrices_is_that_of_float32_rounded(name, shape, dtype):
    function, w = (FUNCTIONS | ON_SQUARES)[name], randn(*shape).to(dtype)
    found, expected = (function(a) for a in (w, w.float()))
    pairs = zip(found, expected, strict=True) if name == "svd" else [(found, expected)]
    for ours, theirs in pairs:
        assert torch.equal(ours, theirs.to(dtype))


@half
@pytest.mark.parametrize("late", [False, True], ids=["from the start", "converted"])
@pytest.mark.parametrize("shape", slow_but(zip(SHAPES), 1, 3))
@pytest.mark.parametrize("name", BUILDERS)
def test_two_steps_of_every_regulariser_are_those_of_float32_to_a_few_roundings(
    name, shape, late, dtype
):
    w, target = (randn(*shape).to(dtype) for _ in range(2))
    found = stepped(name, w.float() if late else w, target)
    expected = stepped(name, w.float(), target.float())
    assert found.dtype == dtype
    size = expected.abs().max().item()
    atol = 30 * torch.finfo(dtype).eps * size
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=atol)


def stepped(name, w, target):
    torch.manual_seed(1)
    reg, kernel = BUILDERS[name](), Kernel(w)
    reg.attach(kernel, "w")
    for module in (reg, kernel):
        module.to(target.dtype)
    leaves = list(kernel_parameters(kernel))
    groups = [{"params": leaves}, {"params": reg.scales()}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    for _ in range(2):
        train_step(reg, optimizer, kernel.w, lambda w: (w - target).float().square().sum(), leaves)
    assert all(value == value for value in reg.report().values())
    assert reg.penalty(kernel.w).isfinite()
    return kernel.w.detach()


@half
@pytest.mark.parametrize("build", networks(depths=(2,)))
def test_a_network_in_half_precision_is_measured_as_its_copy_in_float32(build, dtype):
    net, x, y = build().to(dtype), randn(6, 5, 3).to(dtype), torch.randint(4, (6,))
    plain, wide = build(), x.float()
    plain.load_state_dict(net.state_dict())
    plain.float()
    assert_same(vars(signals(net, x)), vars(signals(plain, wide)))
    assert_same(correlations(net, x, x.flip(0)), correlations(plain, wide, wide.flip(0)))
    assert_same(fisher_eigenvalues(net, x, y, 3), fisher_eigenvalues(plain, wide, y, 3))
    assert_same(curvature(net, x, y, 3).eigenvalues, curvature(plain, wide, y, 3).eigenvalues)
    assert_same(ntk_spectrum(net, x), ntk_spectrum(plain, wide))
    assert_same(kernel_spectra(net), kernel_spectra(plain))
    assert_same(kernel_gaps(net, [1.1]), kernel_gaps(plain, [1.1]))
    assert_same(
        signal_gradient_norms(net, x, y, cross_entropy),
        signal_gradient_norms(plain, wide, y, cross_entropy),
    )


@half
def test_the_norm_of_a_gradient_is_taken_in_float32(dtype):
    kernel = Kernel(torch.zeros(64, 64, dtype=dtype))
    kernel.w.grad = torch.full_like(kernel.w, 2.01)
    expected = kernel.w.grad.double().norm().item()
    (found,) = gradient_norms(kernel).values()
    assert found == pytest.approx(expected, rel=1e-5)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
