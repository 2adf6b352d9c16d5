"""Matrix functions of orthogonality on stacks: matrices are the last two axes, (..., n, k).

"Orthogonal" means orthonormal columns where n >= k and orthonormal rows where n < k, so everything
is stated on the smaller Gram matrix.
"""

import torch
from torch import Tensor


def smaller_gram(w: Tensor) -> Tensor:
    """WᵀW (tall, square) or WWᵀ (wide): (..., n, k) -> (..., m, m) with m = min(n, k)."""
    return w.mT @ w if w.shape[-2] >= w.shape[-1] else w @ w.mT


def gram_error(w: Tensor, gain: float = 1.0) -> Tensor:
    """WᵀW/g² − I on the smaller Gram side: (..., n, k) -> (..., m, m); zero iff W is g times orthogonal."""
    error = smaller_gram(w) / gain**2
    error.diagonal(dim1=-2, dim2=-1).sub_(1)
    return error


def orthogonality_gap(w: Tensor, gain: float = 1.0) -> Tensor:
    """‖WᵀW/g² − I‖_F / √m on the smaller Gram side, one number a matrix: (..., n, k) -> (...).

    It is the root mean square of s²/g² − 1 over the m singular values s.
    """
    return torch.linalg.matrix_norm(gram_error(w, gain)) / min(w.shape[-2:]) ** 0.5


def check_finite(w: Tensor) -> None:
    """Raise torch.linalg.LinAlgError unless every entry is finite; LAPACK itself notices only some that are not."""
    if not torch.isfinite(w).all():
        raise torch.linalg.LinAlgError("the matrix has entries that are not finite")


def polar(w: Tensor) -> Tensor:
    """The nearest orthogonal matrix in Frobenius norm, UVᵀ of the thin SVD: (..., n, k) -> (..., n,
    k).

    Raises torch.linalg.LinAlgError where W is not finite. Higham 1986, section 2.
    """
    check_finite(w)
    u, _, vh = torch.linalg.svd(w, full_matrices=False)
    return u @ vh


def tangent(w: Tensor, g: Tensor) -> Tensor:
    """Orthogonal projection of `g` on the tangent space of the Stiefel manifold at the orthogonal
    `w`.

    G − W sym(WᵀG) for orthonormal columns, its transpose for orthonormal rows: (..., n, k) twice ->
    (..., n, k). Edelman, Arias and Smith 1998, equation 2.4 (Euclidean metric).
    """
    if w.shape[-2] < w.shape[-1]:
        return tangent(w.mT, g.mT).mT
    product = w.mT @ g
    return g - w @ ((product + product.mT) / 2)
