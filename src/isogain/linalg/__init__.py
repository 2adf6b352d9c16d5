"""Matrix functions on stacks: matrices are the last two axes, every leading axis is a batch axis."""

from isogain.linalg.long_products import log_singular_values
from isogain.linalg.orthogonality import (
    check_finite,
    gram_error,
    orthogonality_gap,
    orthonormal,
    polar,
    skew,
    smaller_gram,
    svd,
    tangent,
)
from isogain.linalg.stacks import per_matrix, pieces, solve, symmetric_product, tall, transposed

__all__ = [
    "check_finite",
    "gram_error",
    "log_singular_values",
    "orthogonality_gap",
    "orthonormal",
    "per_matrix",
    "pieces",
    "polar",
    "skew",
    "smaller_gram",
    "solve",
    "svd",
    "symmetric_product",
    "tall",
    "tangent",
    "transposed",
]
