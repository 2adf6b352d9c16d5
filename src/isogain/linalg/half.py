"""Half precision, in which LAPACK decomposes nothing: work is done in float32, and its result is rounded back."""

import torch
from torch import Tensor

HALF = frozenset({torch.float16, torch.bfloat16})


def at_least_single(a: Tensor) -> Tensor:
    """A itself, or a copy in float32 where it is in half precision; autograd goes through it."""
    return a.float() if a.dtype in HALF else a


def working_type(a: Tensor) -> torch.dtype:
    """That of A, or float32 where A is in half precision."""
    return torch.float32 if a.dtype in HALF else a.dtype
