"""Every penalty of conf/reg, and the example of docs/extending.md, keeps its contract: least at its target, its own
gradient.

E = WᵀW/g² − I on the smaller Gram side. A constraint without a penalty has none to log.
"""

from functools import partial

import pytest
import torch
from cases import SHAPES, Kernel, extending_regularizer, part, randn, regularizers, same

from isogain.init import orthogonal_
from isogain.reg.base import Regularizer
from isogain.reg.penalty import Penalty, Soft
from isogain.testing.contract import check
from isogain.testing.contract_of_regularizers import penalty_contract
from isogain.testing.penalty_laws import with_one_largest_error

GAIN, STRENGTH = 1.2, 0.7
EVERY_REG = {
    **regularizers(GAIN),
    "oblique-strength": part("reg", "oblique", GAIN, strength=STRENGTH, _partial_=True),
    "extending": partial(extending_regularizer(), gain=GAIN),
}
PENALTIES = {
    name: partial(build, strength=STRENGTH)
    for name, build in EVERY_REG.items()
    if build().has_penalty
}
SLOPED = {"mc", "srip"}  # largest absolute values, whose slope does not vanish at their minimum
CLOSED = [name for name, build in PENALTIES.items() if build().adds_penalty_gradient]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def target(name, shape):
    """Where the penalty is least: orthogonal kernels, but of `notebook`, which has the scalar 1 in place of I."""
    if name != "notebook":
        return orthogonal_(randn(*shape), gain=GAIN)
    u = randn(*shape[:-2], 1, shape[-1])
    return GAIN * u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).expand(shape)


def least(name, shape):
    """The value there: 0, but of `dso`, which asks a rectangle for the rank that it cannot have."""
    matrices = torch.Size(shape[:-2]).numel()
    return STRENGTH * matrices * abs(shape[-2] - shape[-1]) if name == "dso" else 0.0


def contract(name, shapes=SHAPES):
    """The clauses of a penalty, or of a regulariser without one."""
    build = PENALTIES.get(name, EVERY_REG[name])
    return penalty_contract(
        build, shapes=shapes, least=partial(target, name), smooth=name not in SLOPED
    )


def attached(reg, w):
    """w as a kernel of the regulariser, wherever that would begin with it."""
    kernel = Kernel(w)
    reg.attach(kernel, "w")
    with torch.no_grad():
        return kernel.w.copy_(w)


def gradient(value, w):
    return torch.autograd.grad(value, w)[0]


def edited(reg, w, grad):
    """What `before_step` makes of a gradient."""
    w.grad = grad.clone()
    with torch.no_grad():
        reg.before_step(w)
    return w.grad.clone()


CLAUSES = [
    pytest.param(clause, id=f"{name}-{clause.name}")
    for name in EVERY_REG
    for clause in contract(name)
]


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_penalty_of_conf_keeps_its_contract(clause):
    clause()


def test_each_has_the_clauses_that_are_its_own():
    """A smooth penalty has one more than a sloped one, one with a closed form one more."""
    counts = {name: len(contract(name, [(6, 6)])) for name in EVERY_REG}
    assert [counts[n] for n in ("gain", "srip", "extending", "hard")] == [7, 6, 6, 1]


@every_shape
@pytest.mark.parametrize("name", PENALTIES)
def test_the_least_value_is_zero_but_for_the_rank_that_a_rectangle_lacks(name, shape):
    reg = PENALTIES[name]()
    w = attached(reg, target(name, shape))
    same(reg.penalty(w).item(), least(name, shape))


@every_shape
@pytest.mark.parametrize("name", [n for n in CLOSED if isinstance(PENALTIES[n](), Penalty)])
def test_a_penalty_without_its_norm_breaks_the_contract(name, shape, monkeypatch):
    monkeypatch.setattr(type(PENALTIES[name]()), "norm", lambda reg, x: 0 * x.sum((-2, -1)))
    with pytest.raises(AssertionError, match="expected a larger penalty at"):
        check(contract(name, [shape]))


@pytest.mark.parametrize("name", [n for n in PENALTIES if n not in SLOPED])
def test_a_penalty_whose_value_is_zero_breaks_the_contract(name, monkeypatch):
    monkeypatch.setattr(type(PENALTIES[name]()), "penalty", lambda reg, w: 0 * w.sum())
    with pytest.raises(AssertionError, match="expected a larger penalty at"):
        check(contract(name, [(6, 6)]))


def test_a_closed_form_of_another_size_breaks_the_contract(monkeypatch):
    whole = Soft.add_gradient_
    monkeypatch.setattr(Soft, "add_gradient_", lambda *args: (whole(*args), whole(*args)))
    with pytest.raises(AssertionError, match="expected the penalty's gradient, once"):
        check(contract("gain", [(6, 6)]))


@every_shape
def test_mutual_coherence_lies_above_each_of_its_tangents_but_for_the_curvature_of_e(shape):
    """f(W + D) >= f(W) + ⟨G, D⟩ − strength ‖D‖²/g², for E is quadratic in W and f convex in E."""
    reg = PENALTIES["mc"]()
    for start, size in ((target("mc", shape), 0.1), (randn(*shape), 1.0)):
        w = attached(reg, start)
        for scale in (1e-3, 0.1, 1.0):
            d, g = size * scale * randn(*shape), edited(reg, w, torch.zeros_like(w))
            bound = reg.penalty(w) + (g * d).sum() - STRENGTH * d.square().sum() / GAIN**2
            assert reg.penalty(w + d) >= bound - 1e-12


@every_shape
def test_srip_adds_the_gradient_of_what_it_logs_with_its_vectors_frozen(shape):
    reg = PENALTIES["srip"]()
    w = attached(reg, randn(*shape))
    added = edited(reg, w, torch.zeros_like(w))
    same(added, gradient(reg.measured_penalty(w), w))


@every_shape
def test_srip_logs_at_most_its_value_and_nearly_that_once_its_vectors_are_there(shape):
    reg = PENALTIES["srip"]()
    w = attached(reg, with_one_largest_error(shape, GAIN))
    assert reg.measured_penalty(w) < reg.penalty(w)
    for _ in range(30):
        edited(reg, w, torch.zeros_like(w))
    same(reg.measured_penalty(w), reg.penalty(w))


@every_shape
@pytest.mark.parametrize("name", [n for n in PENALTIES if n != "srip"])
def test_what_is_logged_is_the_value(name, shape):
    reg = PENALTIES[name]()
    w = attached(reg, randn(*shape))
    same(reg.measured_penalty(w), reg.penalty(w))


def test_a_penalty_is_had_by_whoever_defines_one():
    class Own(Regularizer):
        def penalty(self, w):
            return w.square().sum()

    here = Regularizer()
    here.penalty = lambda w: w.square().sum()
    assert [reg.has_penalty for reg in (Own(), here, Regularizer())] == [True, True, False]


@every_shape
def test_a_norm_without_a_closed_form_is_differentiated_by_autograd(shape):
    class Nuclear(Soft):  # Soft's gradient is not that of this norm
        def norm(self, x):
            return torch.linalg.matrix_norm(x, "nuc")

    reg, rarely = Nuclear(STRENGTH, GAIN), Nuclear(STRENGTH, GAIN, every=3)
    w, g = attached(reg, randn(*shape)), randn(*shape)
    expected = gradient(reg.penalty(w), w)
    same(edited(reg, w, g), g + expected)
    same(edited(rarely, w, g), g + 3 * expected)
