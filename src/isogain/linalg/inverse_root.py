"""The inverse square root of matrices near the identity, by as few products as a tolerance asks for.

(I + E)^(−1/2) = I − C/2 with C = E − 3E²/4 + 5E³/8 − 35E⁴/64 + …; E (matrices, m, m) is symmetric. Where WᵀW = I + E,
what a cut C leaves is the gap ‖E'‖_F/√m of W(I − C/2).

`correction` takes the first row whose gap is at most the tolerance. Time goes with the products of m × m matrices, each
2m³ operations a matrix, beside which norms and probes (`PROBES` columns) cost little.

| cut                           | products | gap left, at most                          | function         |
|-------------------------------|----------|--------------------------------------------|------------------|
| E                             | 0        | (3/4 + ‖E‖/4) ‖E²‖_F/√m                    | `first_gap`      |
| E − 3E²/4                     | 1        | (5/8 + 3‖E‖/8) ‖E‖³/√m + what E² is off by | `cut_after_two`  |
| aE + bE², fitted to E³        | 1        | an estimate, a tenth to a half of that     | `cut_after_two`  |
| E − 3E²/4 + 5/8 E²(E − 7E²/8) | 2        | (1 + ‖E‖)/2 ‖E‖⁵/√m + what both are off by | `cut_after_four` |

A product is taken in bfloat16 (0.45 of the time, `bfloat16.LOST` of its norm off) where `bfloat16.pays` says so and
what it loses leaves the gap below the tolerance; else it is exact.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from isogain.linalg.bfloat16 import LOST, pays, rough_product
from isogain.linalg.stacks import symmetric_product

CLOSE = 0.9  # spectral norm of E up to which the series is trusted; it converges below 1
PROBES = 16  # random vectors
SAFETY = 1.5  # times an estimate from them: 1 in 100 is too small all the same
FITTED = 6  # times the tolerance: largest bound of a cut after E² where fitting it can be enough


def correction(error: Tensor, tolerance: float | None) -> tuple[Tensor, Tensor, float]:
    """C in (I + E)^(−1/2) = I − C/2 of symmetric E (matrices, m, m), by the shortest cut of its series that leaves at
    most `tolerance`; None: by the longest, without reading a number from the device. E is overwritten.

    Returns C, an upper bound of the spectral norm of each E, and the largest gap left: nan where none is
    read, infinity where the series would not converge or converges too slowly, and C means nothing. E² is
    computed roughly where that is faster and does not keep the gap from `tolerance`.
    """
    if tolerance is None:
        return unread_correction(error)
    norm = torch.linalg.matrix_norm(error)
    largest = norm.max().item()
    if largest < CLOSE and (left := first_gap(error, largest, tolerance)) <= tolerance:
        return error, norm, left
    least = 0.75 * largest**2 / error.shape[-1]  # that a cut after E can leave: ‖E²‖_F >= ‖E‖²_F/√m
    if pays(error) and LOST * least <= tolerance:
        rough = by_square(error, rough_product(error, error), tolerance, LOST)
        if rough is not None:
            return rough
    exact = by_square(error, symmetric_product(error, error.mT), tolerance, 0.0)
    assert exact is not None  # an exact E² is off by nothing
    return exact


def unread_correction(error: Tensor) -> tuple[Tensor, Tensor, float]:
    """What `correction` returns by the longest cut, whatever it leaves: nothing is read from the device."""
    square = symmetric_product(error, error.mT)
    size = torch.linalg.matrix_norm(square).sqrt_()
    return longest(error, square, symmetric_product), size, math.nan


def by_square(
    error: Tensor, square: Tensor, tolerance: float, lost: float
) -> tuple[Tensor, Tensor, float] | None:
    """What `correction` returns, by a cut after E² or E⁴, E² being off by `lost` of its norm.

    None, and E is as it was, where an exact E² would leave at most `tolerance` and this one does not.
    """
    size = torch.linalg.matrix_norm(square).sqrt_()
    largest = size.max().item()
    if not largest < CLOSE:
        return square, size, math.inf
    off = lost * 0.75 * largest**2 / math.sqrt(error.shape[-1])
    cut = cut_after_two(error, square, largest, tolerance, off)
    if cut is None:
        cut = cut_after_four(error, square, largest, tolerance, off)
    return cut and (cut[0], size, cut[1])


def cut_after_two(
    error: Tensor, square: Tensor, largest: float, tolerance: float, off: float
) -> tuple[Tensor, float] | None:
    """C = E − 3E²/4, or its fit, and the gap it leaves, of which E² brings `off`; None if that passes `tolerance`."""
    root = math.sqrt(error.shape[-1])
    left = (0.625 + 0.375 * largest) * largest**3 / root
    if left + off <= tolerance:
        return error.sub_(square, alpha=0.75), left + off
    if left > FITTED * (tolerance - off):
        return None
    linear, quadratic, fit = fitted(error, square)
    left = fit * (1 + largest) + (0.55 + 0.45 * largest) * largest**4 / root + off
    if left > tolerance:
        return None
    return error.mul_(linear).addcmul_(square, quadratic), left


def cut_after_four(
    error: Tensor, square: Tensor, largest: float, tolerance: float, off: float
) -> tuple[Tensor, float] | None:
    """C = E − 3E²/4 + 5/8 E²(E − 7E²/8) and the gap it leaves; None if only `off` is what passes `tolerance`."""
    root = math.sqrt(error.shape[-1])
    left = (1 + largest) / 2 * largest**5 / root
    if left <= tolerance < left + off:
        off = min(off, 0.75 * inexactness(error, square) / root)
        if left + off > tolerance:
            return None
    left += off
    more = 1.25 * LOST * (1 + largest) * largest**3 / root  # that a rough product leaves
    if pays(error) and not left <= tolerance < left + more:
        return longest(error, square, rough_product), left + more
    return longest(error, square, symmetric_product), left


def fitted(error: Tensor, square: Tensor) -> tuple[Tensor, Tensor, float]:
    """a and b (matrices, 1, 1) of C = aE + bE² for E − 3E²/4 + 5E³/8, and an estimate of the gap that this leaves.

    E³ is replaced by what is nearest to it in the span of E and E², by least squares on random
    vectors. Where a few directions hold most of E, a tenth to a half of the plain cut's bound is left.
    """
    z = probes(error.shape[-1], error.dtype, error.device)
    first, second = error @ z, square @ z
    third = error @ second
    along, cubed = share(second, first), share(third, first)
    second, third = second - along * first, third - cubed * first
    bent = share(third, second)
    rest = torch.linalg.matrix_norm(third - bent * second).max().item()
    gap = SAFETY * 0.625 * rest / math.sqrt(error.shape[-1])
    return 1 + 0.625 * (cubed - bent * along), 0.625 * bent - 0.75, gap


def inexactness(error: Tensor, square: Tensor) -> float:
    """An estimate of the largest ‖E² − S‖_F of a stack, where S is E² roughly."""
    z = probes(error.shape[-1], error.dtype, error.device)
    return SAFETY * torch.linalg.matrix_norm(error @ (error @ z) - square @ z).max().item()


def share(a: Tensor, b: Tensor) -> Tensor:
    """⟨A, B⟩/⟨B, B⟩, 0 where B is 0: (matrices, m, p) twice -> (matrices, 1, 1)."""
    square = b.square().sum((-2, -1), keepdim=True)
    return (a * b).sum((-2, -1), keepdim=True) / square.where(square > 0, 1)


def longest(error: Tensor, square: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """E − 3E²/4 + 5/8 E²(E − 7E²/8), the last product by `product`. E is overwritten."""
    quadratic = torch.sub(error, square, alpha=0.75)
    higher = error.sub_(square, alpha=0.875)
    return quadratic.add_(product(square, higher), alpha=0.625)


def first_gap(error: Tensor, norm: float, tolerance: float) -> float:
    """The gap that a cut after E leaves in any matrix of the stack E (matrices, m, m) of largest norm `norm`.

    A bound of it where that tells on which side of `tolerance` it is: ‖E²‖_F lies between ‖E‖²_F/√m
    and ‖E‖²_F. Else an estimate.
    """
    root, scale = math.sqrt(error.shape[-1]), 0.75 + norm / 4
    upper = scale * norm**2 / root
    if upper <= tolerance or not upper / root <= tolerance:
        return upper
    probed = error @ (error @ probes(error.shape[-1], error.dtype, error.device))
    return SAFETY * scale * torch.linalg.matrix_norm(probed).max().item() / root


@cache
def probes(m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Z (m, at most 16) with the mean of ‖AZ‖²_F equal to ‖A‖²_F; the same at every call, in every process."""
    if m <= PROBES:
        return torch.eye(m, dtype=dtype, device=device)
    normal = torch.randn(m, PROBES, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return (normal / math.sqrt(PROBES)).to(device)
