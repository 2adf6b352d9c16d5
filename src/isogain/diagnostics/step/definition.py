"""The derivatives of one step of a trajectory: by autograd, unless a formula is registered for the network's type.

Axes: B examples, m rows, n state size, D features a step.
"""

from functools import singledispatch

import torch
from torch import Tensor

from isogain.diagnostics.step.factors import Scaled
from isogain.models.base import Network
from isogain.models.trajectory import Batch, Trajectory


@singledispatch
@torch.no_grad()
def pull_(net: Trajectory, rows: Tensor, step: int, hs: list[Tensor], x: Batch) -> Tensor:
    """R <- R ∂h_{l+1}/∂h_l at l = `step` of the trajectory `hs` of x, an example each; contiguous (B, m, n).

    R may have a lower precision than network, `hs` and x: slopes come from theirs. By autograd where a network
    has no formula of its own: this is the definition.
    """
    h, end = _step_from(net, step, hs, x)
    return rows.copy_(_backward(end, h, rows.to(end)))


@singledispatch
@torch.no_grad()
def push(net: Trajectory, v: Tensor, step: int, hs: list[Tensor], x: Batch) -> Tensor:
    """∂h_{l+1}/∂h_l v at l = `step`: (B, n) -> (B, n), by autograd where a network has no formula of its own."""
    h, end = _step_from(net, step, hs, x)
    u = torch.zeros_like(end, requires_grad=True)
    with torch.enable_grad():
        pulled = torch.autograd.grad(end, h, u, create_graph=True)[0]
    return torch.autograd.grad(pulled, u, v)[0]


@singledispatch
@torch.no_grad()
def scaled_factors(net: Trajectory, step: int, hs: list[Tensor], x: Batch) -> list[Scaled]:
    """∂h_{l+1}/∂h_l at l = `step`, as a product of which the first is applied first.

    A slope outside the precision's range is the logarithm of a row's scale, where a network has a formula.
    """
    h = hs[step]
    unit = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
    return [Scaled(torch.zeros_like(h), pull_(net, unit, step, hs, x))]


@singledispatch
@torch.no_grad()
def scaled_input_factors(net: Trajectory, step: int, hs: list[Tensor], x: Batch) -> list[Scaled]:
    """∂h_{l+1}/∂x_{l+1} of a sequential network in the same way; the first factor is (B, n, D) or (n, D)."""
    h = hs[step]
    unit = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
    return [Scaled(torch.zeros_like(h), pull_input(net, unit, step, hs, x))]


@singledispatch
@torch.no_grad()
def pull_input(net: Trajectory, rows: Tensor, step: int, hs: list[Tensor], x: Batch) -> Tensor:
    """R ∂h_{l+1}/∂x_{l+1} of a sequential network, R kept: (B, m, n) -> (B, m, D)."""
    net, x = _network(net, x)
    with torch.enable_grad():
        now = x[:, step : step + 1].detach().requires_grad_()
        end = net.trajectory(hs[step].detach(), now)[-1]
    return _backward(end, now, rows.to(end)).squeeze(-2).to(rows)


@torch.enable_grad()
def _step_from(net: Trajectory, step: int, hs: list[Tensor], x: Batch) -> tuple[Tensor, Tensor]:
    """h_l and h_{l+1}, in one graph."""
    net, x = _network(net, x)
    if net.sequential:
        h = hs[step].detach().requires_grad_()
        return h, net.trajectory(h, x[:, step : step + 1])[-1]
    h, end = net.trajectory(hs[0].detach().requires_grad_(), x)[step : step + 2]
    return h, end


def _network(net: Trajectory, x: Batch) -> tuple[Network, Tensor]:
    """What a step is defined for; another trajectory registers functions of its own."""
    if not (isinstance(net, Network) and isinstance(x, Tensor)):
        raise TypeError(f"the derivatives of a step of {type(net).__name__} are not registered")
    return net, x


def _backward(end: Tensor, start: Tensor, rows: Tensor) -> Tensor:
    """Each of the m rows R (B, m, n) carried from `end` (B, n) to `start` (B, ...); (B, m, ...)."""
    grads = torch.autograd.grad(end, start, rows.transpose(0, 1), is_grads_batched=True)
    return grads[0].transpose(0, 1)
