"""Singular values and orthogonality gap of the kernels, matrix by matrix."""

import torch
from torch import Tensor

from isogain.linalg import orthogonality_gap
from isogain.models.base import Network


@torch.no_grad()
def kernel_spectra(net: Network) -> dict[str, Tensor]:
    """Singular values of every kernel, in float64; name -> (matrices, min(n, k)), descending."""
    return {
        name: torch.linalg.svdvals(w.double()).reshape(-1, min(w.shape[-2:]))
        for name, w in net.named_kernels()
    }


@torch.no_grad()
def kernel_gaps(net: Network, gain: float) -> dict[str, float]:
    """`linalg.orthogonality_gap` at `gain` of every matrix of every kernel, in float64; label -> gap."""
    gaps: dict[str, float] = {}
    for name, w in net.named_kernels():
        labels = net.labels(name, w)
        gaps |= zip(labels, orthogonality_gap(w.double(), gain).flatten().tolist(), strict=True)
    return gaps
