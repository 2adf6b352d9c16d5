"""Singular values of Jacobians of any condition: graded QR decompositions in float64, a few examples a core.

Axes: B examples, S starts l, n state size.
"""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from isogain.cores import each
from isogain.models.base import Network
from isogain.products import Graded

ENTRIES = 2**17  # of the Jacobians that one thread works on: more fall out of its cache


def exact_logs(net: Network, x: Tensor, starts: Sequence[Sequence[int]]) -> Tensor:
    """log σ(∂h_L/∂h_l), descending, for every example's own l, one example after the other; (ΣS, n)."""
    net, x = copy.deepcopy(net).double(), x.double()
    hs = net.trajectory(net.start(x), x)
    most = -(-len(x) // torch.get_num_threads())  # a part for every thread
    few = max(1, min(ENTRIES // hs[0].shape[-1] ** 2, most))
    alike = [list(same) for _, same in groupby(range(len(x)), key=lambda i: starts[i])]
    parts = [run[i : i + few] for run in alike for i in range(0, len(run), few)]

    def of_part(i: int) -> Tensor:
        part = slice(parts[i][0], parts[i][-1] + 1)
        return _graded_logs(net, [h[part] for h in hs], x[part], starts[part.start])

    return torch.cat(each(of_part, len(parts)))


@torch.no_grad()
def _graded_logs(net: Network, hs: list[Tensor], x: Tensor, starts: Sequence[int]) -> Tensor:
    """log σ(∂h_L/∂h_l), of the product of the transposed factors, the last first; (B·S, n)."""
    products, found, end = [Graded(hs[0].shape[-1]) for _ in x], {}, len(hs) - 1
    while end > min(starts):
        size = min(product.size for product in products)
        begin = max(end - size, max(step for step in starts if step < end))
        _absorb(products, net, range(begin, end)[::-1], hs, x)
        end = begin
        if end in starts:
            found[end] = torch.stack([product.logs() for product in products])
    return torch.stack([found[step] for step in starts], 1).flatten(0, 1)


def _absorb(
    products: list[Graded], net: Network, steps: range, hs: list[Tensor], x: Tensor
) -> None:
    """Multiply every example's product by its factors of `steps`."""

    def factors(i: int) -> Iterator[Tensor]:
        one = slice(i, i + 1)
        for step in steps:
            yield net.pull_(identities(hs[0][one]), step, [h[one] for h in hs], x[one])[0].mT.cpu()

    rows = torch.zeros_like(identities(hs[0]))  # below a product's rank they stay zero
    for mine, product in zip(rows, products, strict=True):
        mine[: product.frame.shape[1]] = product.frame.mT
    for step in steps:
        net.pull_(rows, step, hs, x)
    for i, product in enumerate(products):
        b = rows[i, : product.frame.shape[1]].mT.cpu()
        product.absorb(b, len(steps), partial(factors, i))


def identities(h: Tensor) -> Tensor:
    """I of the size of a state, an example each: h (B, n) -> (B, n, n)."""
    n = h.shape[-1]
    return torch.eye(n, dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
