"""A model in one file, without formulas of its own: everything is measured, by autograd."""

import pytest
import torch
from cases import randn
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from isogain.config.errors import ConfigError
from isogain.diagnostics import (
    fisher_eigenvalues,
    gradient_norms,
    input_norms,
    jacobian,
    jacobian_extremes,
    jacobian_spectrum,
    kernel_gaps,
    signal_gradient_norms,
    signals,
)
from isogain.init.critical import point, predicted
from isogain.models.base import Affine, Network
from isogain.theory.critical_point import Point


class Residual(Network):
    """h_l = h_{l−1} + softplus(W_l h_{l−1}) from h_0 = U x; or, `Recurrent`, a step at a time."""

    def __init__(self):
        super().__init__(n_in=3, n_out=4, length=5, hidden=6, depth=4)
        self.input = nn.Linear(3 if self.sequential else 15, 6)
        self.kernel = nn.Parameter(torch.randn(1 if self.sequential else 4, 6, 6) / 3)
        self.output = nn.Linear(6, 4)
        self.double()

    def entry(self, x):
        z = self.input(x := x.flatten(1))
        return [Affine((x,), z)], z

    def steps(self, h, x):
        for w in self.kernel.unbind():
            before, z = h, h @ w.mT
            h = h + softplus(z)
            yield [Affine((before,), z)], h

    def top(self, hs):
        return hs[-1]

    def kernels(self):
        yield self, "kernel"


class Recurrent(Residual):
    sequential = True

    def entry(self, x):
        return [], x.new_zeros(len(x), 6)

    def steps(self, h, x):
        for signal in x.unbind(1):
            before, z = h, self.input(signal) + h @ self.kernel[0].mT
            h = h / 2 + softplus(z)
            yield [Affine((signal, before), z)], h


both = pytest.mark.parametrize("model", [Residual, Recurrent])


def by_functional(net, x, of="state"):
    """∂h_L/∂h_0, or ∂h_T/∂x, example by example, by torch's own functional."""
    found = []
    for example in x.split(1):
        start = net.start(example).detach()
        if of == "state":
            wrt, end = start, lambda h, example=example: net.trajectory(h, example)[-1]
        else:
            wrt, end = example, lambda e, start=start: net.trajectory(start, e)[-1]
        found.append(torch.autograd.functional.jacobian(end, wrt)[0])
    return torch.stack(found)


@both
def test_its_jacobian_is_that_of_torchs_functional(model):
    net, x = model(), randn(3, 5, 3)
    expected = by_functional(net, x).squeeze(2)
    torch.testing.assert_close(jacobian(net, x), expected)
    logs = torch.linalg.svdvals(expected).log()
    torch.testing.assert_close(jacobian_spectrum(net, x), logs, rtol=0, atol=1e-6)
    torch.testing.assert_close(jacobian_extremes(net, x, 6), logs[:, [0, -1]], rtol=0, atol=1e-6)


def test_the_norms_by_its_inputs_are_those_of_torchs_functional():
    net, x = Recurrent(), randn(3, 5, 3)
    norms = by_functional(net, x, "input").squeeze(2).norm(dim=(1, 3)).log()
    torch.testing.assert_close(input_norms(net, x), norms)


@both
def test_the_gradients_of_its_signal_are_those_of_a_backward_pass(model):
    net, x, y = model(), randn(3, 5, 3), torch.tensor([0, 1, 2])
    found = signal_gradient_norms(net, x, y, cross_entropy)
    for i, example in enumerate(x.split(1)):
        hs = net.trajectory(net.start(example).detach().requires_grad_(), example)
        grads = torch.autograd.grad(cross_entropy(net.readout(hs), y[i : i + 1]), hs)
        torch.testing.assert_close(found[i], torch.stack([g.norm() for g in grads]).log())


@both
def test_its_signals_are_measured_but_where_phi_would_be_needed(model):
    net, x = model(), randn(3, 5, 3)
    found = signals(net, x)
    assert found.q.isfinite().all() and found.correlation.isfinite().all()
    assert found.linear.isnan().all() and found.dead.isnan().all()


@both
def test_its_kernels_gradients_and_curvature_are_measured(model):
    net, x, y = model(), randn(3, 5, 3), torch.tensor([0, 1, 2])
    cross_entropy(net(x), y).backward()
    assert {"kernel/000", "input/weight"} <= gradient_norms(net).keys()
    assert len(kernel_gaps(net, [1.0])) == len(net.kernel)
    assert fisher_eigenvalues(net, x, y).isfinite().all()


@both
def test_no_theory_of_another_model_is_taken_for_its_own(model):
    net = model()
    with pytest.raises(ConfigError, match=f"there is no mean-field theory of {model.__name__}"):
        point(net, q_star=0.5, sigma_w=None, base="orthogonal", normalise_input=True)
    assert predicted(net, Point(1.0), "orthogonal", randn(3, 5, 3)).numbers == {}
