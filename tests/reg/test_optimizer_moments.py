"""What an optimiser's state holds: declared by it, in the table of torch's own, or given; and who asks."""

import pytest
import torch
from cases import SHAPES, Kernel, randn, same, train_step
from torch import Tensor

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap, tangent
from isogain.optim import MatrixAdam
from isogain.reg.base import Regularizer
from isogain.reg.oblique import Oblique
from isogain.reg.optimizer_moments import BY_CLASS, moments_of, tangent_vectors
from isogain.reg.penalty import Soft
from isogain.reg.spectral import Spectral
from isogain.reg.stiefel import Stiefel

OPTIONS = {
    torch.optim.SGD: {"momentum": 0.9},
    torch.optim.RMSprop: {"momentum": 0.9, "centered": True},
    torch.optim.Adam: {"amsgrad": True},
    torch.optim.AdamW: {"amsgrad": True},
}
of_torch = pytest.mark.parametrize("cls", BY_CLASS, ids=lambda cls: cls.__name__)


class HeavyBall(torch.optim.Optimizer):
    """Momentum under a name that nobody knows."""

    def __init__(self, params, lr: float = 0.05) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("velocity", torch.zeros_like(p))
                p.sub_(m.mul_(0.9).add_(p.grad), alpha=group["lr"])


class Declares(HeavyBall):
    moments = {"velocity": "tangent"}


def stepped(cls, gradients, **options) -> tuple[torch.optim.Optimizer, dict[str, Tensor]]:
    w = torch.zeros(4, 4, requires_grad=True)
    optimizer = cls([w], lr=0.1, **OPTIONS.get(cls, {}), **options)
    for grad in gradients:
        w.grad = grad.clone()
        optimizer.step()
    return optimizer, optimizer.state[w]


@of_torch
def test_the_table_names_every_entry_of_the_state_that_has_the_shape_of_the_parameter(cls):
    optimizer, state = stepped(cls, torch.randn(3, 4, 4))
    shaped = {name for name, v in state.items() if isinstance(v, Tensor) and v.shape == (4, 4)}
    assert shaped == moments_of(optimizer).keys()


@of_torch
def test_tangent_vectors_turn_round_with_the_gradients_and_second_moments_do_not(cls):
    gradients = torch.randn(3, 4, 4)
    (optimizer, there), (_, back) = (stepped(cls, sign * gradients) for sign in (1, -1))
    for name, kind in moments_of(optimizer).items():
        torch.testing.assert_close(back[name], -there[name] if kind == "tangent" else there[name])
        assert there[name].any()


def test_a_subclass_has_the_moments_of_its_parent():
    class Own(torch.optim.SGD):
        pass

    assert moments_of(Own([randn(2, 2)], lr=0.1)) == {"momentum_buffer": "tangent"}


def test_what_is_given_comes_before_what_is_declared_and_that_before_the_table():
    w = randn(2, 2)
    sgd = torch.optim.SGD([w], lr=0.1)
    sgd.moments = {"other": "second"}
    assert moments_of(sgd) == {"other": "second"}
    assert moments_of(sgd, {"m": "tangent"}) == {"m": "tangent"}
    assert moments_of(Declares([w])) == {"velocity": "tangent"}
    assert moments_of(MatrixAdam([w]))["exp_avg"] == "tangent"


@pytest.mark.parametrize("reg", [Stiefel, Oblique, Spectral])
@pytest.mark.parametrize("optimizer", [HeavyBall, torch.optim.LBFGS])
def test_a_manifold_refuses_an_optimiser_that_it_knows_nothing_of_in_one_line(optimizer, reg):
    with pytest.raises(
        ValueError, match=f"^{optimizer.__name__} does not declare .* moments="
    ) as e:
        reg().bind(optimizer([randn(2, 2)]))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("reg", [Regularizer, Soft])
def test_what_edits_no_state_takes_any_optimiser(reg):
    reg().bind(HeavyBall([randn(2, 2)]))


def test_a_kind_that_is_none_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^moments\['m'\] must be .*, got 'first'$"):
        moments_of(HeavyBall([randn(2, 2)]), {"m": "first"})


@pytest.mark.parametrize("state", [{}, {"velocity": None, "step": 1}])
def test_a_state_that_is_yet_to_come_has_no_tangent_vectors(state):
    assert tangent_vectors(state, {"velocity": "tangent"}) == []


def test_a_step_of_a_manifold_that_was_never_bound_is_refused():
    kernel = Kernel(orthogonal_(randn(4, 4)))
    reg = Stiefel()
    reg.attach(kernel, "w")
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"^Stiefel\.bind\(optimizer\) comes"):
        reg.after_step(kernel.w, {"exp_avg": randn(4, 4)})


@pytest.mark.parametrize("shape", SHAPES)
def test_an_optimiser_that_declares_its_momentum_stays_tangent_as_torchs_does(shape):
    start, wanted, ends = orthogonal_(randn(*shape)), randn(*shape), []
    for build in (Declares, lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9)):
        kernel, reg = Kernel(start), Stiefel()
        reg.attach(kernel, "w")
        optimizer = build([kernel.w])
        for _ in range(5):
            train_step(reg, optimizer, kernel.w, lambda w: (w - wanted).square().sum())
        ends.append(kernel.w.detach())
    same(*ends)
    assert orthogonality_gap(ends[0]).max() < 1e-13
    if shape[-2] != shape[-1]:  # elsewhere the state is kept in the frame of the kernel
        m = optimizer.state[kernel.w]["momentum_buffer"]
        same(tangent(ends[1], m), m)
