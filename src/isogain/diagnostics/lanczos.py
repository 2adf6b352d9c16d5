"""The largest eigenvalues of a symmetric matrix that is known by its products alone."""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 300


def largest_eigenvalues(
    product: Callable[[Tensor], Tensor], like: Tensor, k: int, tolerance: float = 1e-10
) -> Tensor:
    """The k largest eigenvalues of A, descending, in float64, from products A(n, k) on the device of `like` (n, ...).

    Block Lanczos from fixed vectors, with full re-orthogonalisation; a block of k sees eigenvalues up to k-fold.
    It ends when every residual ‖Ay − θy‖ is at most `tolerance` times the largest θ, which bounds the error
    of θ (and its square over the gap, where there is one). Golub and Underwood 1977.
    """
    n = len(like)
    draw = torch.Generator().manual_seed(0)
    block = torch.randn(n, k, generator=draw, dtype=torch.float64).to(like.device)
    basis = images = block[:, :0]
    for _ in range(STEPS):
        block = torch.linalg.qr(_apart(block, basis))[0]
        block = torch.linalg.qr(_apart(block, basis))[0]
        basis, images = torch.cat([basis, block], 1), torch.cat([images, product(block)], 1)
        theta, s = torch.linalg.eigh(basis.mT @ images)
        theta, s = theta[-k:], s[:, -k:]
        size = theta.abs().max()
        size = size.where(size > 0, 1)  # squares of small residuals are below the range
        residuals = torch.linalg.vector_norm((images @ s - basis @ s * theta) / size, dim=0)
        if residuals.max() <= tolerance or basis.shape[1] == n:
            return theta.flip(0)
        block = images[:, -k:][:, : n - basis.shape[1]]
    raise torch.linalg.LinAlgError(f"no convergence of {k} eigenvalues in {STEPS} Lanczos steps")


def _apart(block: Tensor, basis: Tensor) -> Tensor:
    return block - basis @ (basis.mT @ block)
