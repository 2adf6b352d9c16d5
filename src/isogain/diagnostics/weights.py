"""Singular values and orthogonality gap of the kernels, matrix by matrix."""

from collections.abc import Sequence

import torch
from torch import Tensor

from isogain.diagnostics.kernel_labels import kernel_labels, named_kernels
from isogain.linalg import orthogonality_gap
from isogain.linalg.per_core import singular_values
from isogain.models.base import Network


@torch.no_grad()
def kernel_spectra(net: Network) -> dict[str, Tensor]:
    """Singular values of every kernel, in float64; name -> (matrices, min(n, k)), descending.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=1, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 2.0)
    >>> {name: s.round(decimals=4).tolist() for name, s in kernel_spectra(net).items()}
    {'kernel': [[2.0, 2.0]]}
    """
    return {
        name: singular_values(w.double().reshape(-1, *w.shape[-2:]))
        for name, w in named_kernels(net)
    }


@torch.no_grad()
def kernel_gaps(net: Network, gains: Sequence[float | Tensor]) -> dict[str, float]:
    """`linalg.orthogonality_gap` of every matrix of every kernel at its gain, in float64; label -> gap.

    One gain a kernel, a number or (..., 1, 1): one a matrix.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=1, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 2.0)
    >>> {label: round(gap, 4) for label, gap in kernel_gaps(net, [1.0]).items()}  # 2² − 1
    {'kernel/000': 3.0}
    """
    gaps: dict[str, float] = {}
    for (name, w), gain in zip(named_kernels(net), gains, strict=True):
        values = orthogonality_gap(w.double(), gain.double() if isinstance(gain, Tensor) else gain)
        gaps |= zip(kernel_labels(net, name, w), values.flatten().tolist(), strict=True)
    return gaps


@torch.no_grad()
def kernel_shapes(
    net: Network, gains: Sequence[float | Tensor], spectra: dict[str, Tensor] | None = None
) -> dict[str, dict[str, float]]:
    """By label, of each matrix's m singular values s: `distance` to g·Stiefel, √Σ(s − g)², and `effective_rank`.

    The `spectra` are those of `kernel_spectra`, if they are known.
    The distance is Frobenius's, to the nearest W with WᵀW = g²I: Higham 1986, section 2. The effective rank is
    exp(−Σ p log p) with p = s/Σs, between 1 and m: Roy and Vetterli 2007, definition 1.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=1, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 2.0)
    >>> shape = kernel_shapes(net, [1.0])["kernel/000"]
    >>> {name: round(value, 4) for name, value in shape.items()}  # √2 and 2
    {'distance': 1.4142, 'effective_rank': 2.0}
    """
    shapes: dict[str, dict[str, float]] = {}
    spectra = kernel_spectra(net) if spectra is None else spectra
    for (name, w), gain in zip(named_kernels(net), gains, strict=True):
        shapes |= shapes_of(spectra[name], gain, kernel_labels(net, name, w))
    return shapes


def shapes_of(
    s: Tensor, gain: float | Tensor, labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """`kernel_shapes` of singular values s (matrices, m), a label each.

    >>> shapes_of(torch.ones(1, 4), 1.0, ["w"])
    {'w': {'distance': 0.0, 'effective_rank': 4.0}}
    """
    g = gain.double().reshape(-1, 1) if isinstance(gain, Tensor) else gain
    distances = (s - g).norm(dim=-1).tolist()
    ranks = torch.special.entr(s / s.sum(-1, keepdim=True)).sum(-1).exp().tolist()
    return {
        label: {"distance": distance, "effective_rank": rank}
        for label, distance, rank in zip(labels, distances, ranks, strict=True)
    }
