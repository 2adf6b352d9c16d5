"""The input-output Jacobian ∂h_L/∂h_0 of a network, one matrix an example.

Axes: B examples, n state size. All n rows of a block of examples travel back together, so that
every layer or time step costs one product of an (n·block, n) matrix.
"""

import copy

import torch
from torch import Tensor

from isogain.linalg import check_finite
from isogain.models.base import Network

BLOCK = 8  # examples at once: more fall out of a CPU's cache


def jacobian(net: Network, x: Tensor) -> Tensor:
    """∂h_L/∂h_0 of `net.trajectory` by autograd, in the network's precision; (B, n, n)."""
    return torch.cat([_block(net, part) for part in x.split(BLOCK)])


def jacobian_spectrum(net: Network, x: Tensor) -> Tensor:
    """Natural logarithms of the singular values of ∂h_L/∂h_0, descending, in float64; (B, n).

    A singular value below n·ε times the largest of its matrix (ε = 2.2e-16) is rounding noise of
    the product and comes back as −inf. Raises torch.linalg.LinAlgError where the Jacobian is not
    finite.
    """
    precise = copy.deepcopy(net).double().requires_grad_(False)
    matrices = jacobian(precise, x.double())
    check_finite(matrices)
    s = torch.linalg.svdvals(matrices)
    noise = s[:, :1] * s.shape[-1] * torch.finfo(s.dtype).eps
    return s.log().masked_fill(s <= noise, -torch.inf)


@torch.enable_grad()
def _block(net: Network, x: Tensor) -> Tensor:
    h = net.start(x).detach().requires_grad_()
    end = net.trajectory(h, x)[-1]
    rows = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device)[:, None].expand(-1, *h.shape)
    return torch.autograd.grad(end, h, rows, is_grads_batched=True)[0].transpose(0, 1)
