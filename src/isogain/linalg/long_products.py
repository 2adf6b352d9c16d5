"""All singular values of long matrix products, by their logarithms: no exponent range, no lost digits.

A product of hundreds of factors spans hundreds of decades, of which a float64 matrix holds the top
sixteen. It is kept as Q diag(eˢ) T instead: Q has orthonormal columns, T has rows of unit length and
is well conditioned, and the logarithms s have no range. Axes: n rows, r <= n the rank so far.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from isogain.linalg.graded import PROBES, Factor, Graded, probes, rotation
from isogain.linalg.graded_spectrum import MARGIN as MARGIN
from isogain.linalg.graded_spectrum import SPAN as SPAN


def log_singular_values(factors: Tensor | Iterable[Tensor]) -> Tensor:
    """Natural logarithms of all singular values of A_L … A_1, descending: L factors (..., n, n),
    the first applied first -> (..., n), float64 on the CPU.

    −inf where the product is singular (rows or columns of zeros, dependent rows). The logarithms
    are those of factors changed by about ε of the norms of their rows and columns. Raises
    torch.linalg.LinAlgError where a factor is not finite. Stewart 1995 (On graded QR decompositions
    of products of matrices); the last step is Drmač and Veselić's 2008.

    A thousand factors 2·I have the product 2^1000·I, whose logarithms are 1000 log 2.

    >>> log_singular_values(2 * torch.eye(2).expand(1000, 2, 2)).round(decimals=3)
    tensor([693.1470, 693.1470], dtype=torch.float64)
    """
    products: list[Graded] = []
    group: list[Tensor] = []
    for factor in factors:
        shape = factor.shape[:-1]
        group.append(factor.detach().double().cpu().reshape(-1, *factor.shape[-2:]))
        products = products or [Graded(rotation(shape[-1])) for _ in group[0]]
        if len(group) >= min(product.size for product in products):
            _absorb(products, group)
            group = []
    if not products:
        raise ValueError("a product needs at least one factor")
    _absorb(products, group)
    return torch.stack([product.logs() for product in products]).view(shape)


def _absorb(products: "list[Graded]", group: list[Tensor]) -> None:
    for i, product in enumerate(products):
        own = [stack[i] for stack in group]
        b = torch.cat([product.frame, product.frame @ probes(product.frame)], 1)
        for a in own:
            b = a @ b
        factors: list[Factor] = [(None, a) for a in own]
        product.absorb(b[:, :-PROBES], b[:, -PROBES:], len(own), partial(iter, factors))
