"""Matrix functions of orthogonality on stacks: matrices are the last two axes, (..., n, k).

"Orthogonal" means orthonormal columns where n >= k and orthonormal rows where n < k, so everything
is stated on the smaller Gram matrix. Of matrices in half precision everything is computed in float32, and rounded.
"""

import torch
from torch import Tensor

from isogain.linalg.half import HALF, at_least_single
from isogain.linalg.stacks import symmetric_product, tall, transposed


def skew(a: Tensor, scale: float | Tensor = 1.0) -> Tensor:
    """scale · (A − Aᵀ)/2 of square matrices.

    >>> skew(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    tensor([[ 0.,  1.],
            [-1.,  0.]])
    """
    return (a - transposed(a)).mul_(scale / 2)


def smaller_gram(w: Tensor) -> Tensor:
    """WᵀW (tall, square) or WWᵀ (wide): (..., n, k) -> (..., m, m) with m = min(n, k).

    >>> smaller_gram(torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    x = tall(w)
    return symmetric_product(x.mT, x)


def gram_error(w: Tensor, gain: float | Tensor = 1.0) -> Tensor:
    """WᵀW/g² − I on the smaller Gram side: (..., n, k) -> (..., m, m); zero iff W is g times orthogonal.

    A gain a matrix has shape (..., 1, 1).

    >>> gram_error(2 * torch.eye(2))
    tensor([[3., 0.],
            [0., 3.]])
    """
    if w.dtype in HALF:
        return gram_error(w.float(), gain).to(w.dtype)
    error = smaller_gram(w)
    if isinstance(gain, Tensor) or gain != 1:
        error.mul_(gain**-2)
    error.diagonal(dim1=-2, dim2=-1).sub_(1)
    return error


def orthogonality_gap(w: Tensor, gain: float | Tensor = 1.0) -> Tensor:
    """‖WᵀW/g² − I‖_F / √m on the smaller Gram side, one number a matrix: (..., n, k) -> (...).

    It is the root mean square of s²/g² − 1 over the m singular values s.

    >>> orthogonality_gap(2 * torch.eye(3)), orthogonality_gap(2 * torch.eye(3), gain=2)
    (tensor(3.), tensor(0.))
    """
    gap = torch.linalg.matrix_norm(gram_error(at_least_single(w), gain)) / min(w.shape[-2:]) ** 0.5
    return gap.to(w.dtype) if w.dtype in HALF else gap


def check_finite(w: Tensor) -> None:
    """Raise torch.linalg.LinAlgError unless every entry is finite; LAPACK itself notices only some that are not.

    >>> check_finite(torch.tensor([[torch.inf]]))
    Traceback (most recent call last):
    torch._C._LinAlgError: the matrix has entries that are not finite
    """
    if not torch.isfinite(w).all():
        raise torch.linalg.LinAlgError("the matrix has entries that are not finite")


def svd(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, s, Vᵀ of the thin singular value decomposition, also where LAPACK's iteration fails: (..., n, k) -> (..., n,
    m), (..., m), (..., m, k) with m = min(n, k).

    On repeated singular values, which orthogonal matrices have, it can give up, return NaN, or, in
    float32 and now and then, finite vectors that are none; then by the eigenvectors of the smaller
    Gram matrix in float64. Raises torch.linalg.LinAlgError where W is not finite.

    >>> svd(torch.diag(torch.tensor([2.0, -3.0])))[1]
    tensor([3., 2.])
    """
    check_finite(w)
    if w.dtype in HALF:
        u, s, vh = svd(w.float())
        return u.to(w.dtype), s.to(w.dtype), vh.to(w.dtype)
    try:
        parts = torch.linalg.svd(w, full_matrices=False)
    except torch.linalg.LinAlgError:
        return _svd_by_gram(w)
    return parts if _is_svd(w, *parts) else _svd_by_gram(w)


def _is_svd(w: Tensor, u: Tensor, s: Tensor, vh: Tensor) -> bool:
    """Whether U diag(s) Vᵀ = W with orthonormal U and V, to a thousand times rounding; False for NaN."""
    if not w.numel():
        return True
    allowed = 1000 * torch.finfo(w.dtype).eps
    error = torch.linalg.matrix_norm(u * s.unsqueeze(-2) @ vh - w)
    close = error <= allowed * torch.linalg.matrix_norm(w)
    return bool(
        (close & (orthogonality_gap(u) <= allowed) & (orthogonality_gap(vh) <= allowed)).all()
    )


def _svd_by_gram(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = tall(w).double()
    v = torch.linalg.eigh(x.mT @ x).eigenvectors.flip(-1)
    xv = x @ v  # U s, in descending order of s
    u = orthonormal(xv)
    s = (u * xv).sum(-2).clamp_min(0)
    u, s, v = u.to(w), s.to(w), v.to(w)
    return (u, s, v.mT) if tall(w) is w else (v, s, u.mT)


def polar(w: Tensor) -> Tensor:
    """The nearest orthogonal matrix in Frobenius norm, UVᵀ of the thin SVD: (..., n, k) -> (..., n,
    k).

    A Newton–Schulz step takes off the rounding of the SVD. Raises torch.linalg.LinAlgError where W
    is not finite. Higham 1986, section 2.

    >>> polar(torch.diag(torch.tensor([2.0, -3.0]))).diagonal().round(decimals=4)
    tensor([ 1., -1.])
    """
    if w.dtype in HALF:
        return polar(w.float()).to(w.dtype)
    u, _, vh = svd(w)
    q = tall(u @ vh)
    q = q - q @ gram_error(q) / 2
    return q if tall(w) is w else q.mT


def orthonormal(w: Tensor) -> Tensor:
    """Q of the QR decomposition with a positive diagonal of R (of Wᵀ if W is wide): (..., n, k) -> (..., n, k).

    >>> orthonormal(torch.tensor([[-3.0], [4.0]])).round(decimals=4)
    tensor([[-0.6000],
            [ 0.8000]])
    """
    if w.dtype in HALF:
        return orthonormal(w.float()).to(w.dtype)
    if w.shape[-2] < w.shape[-1]:
        return orthonormal(w.mT).mT
    q, r = torch.linalg.qr(w)
    diagonal = r.diagonal(dim1=-2, dim2=-1).unsqueeze(-2)
    return q * torch.where(diagonal < 0, -1, 1)


def tangent(w: Tensor, g: Tensor) -> Tensor:
    """Orthogonal projection of `g` on the tangent space of the Stiefel manifold at the orthogonal
    `w`.

    G − W sym(WᵀG) for orthonormal columns, its transpose for orthonormal rows: (..., n, k) twice ->
    (..., n, k). Edelman, Arias and Smith 1998, equation 2.4 (Euclidean metric).

    >>> tangent(torch.eye(2), torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    tensor([[ 0.,  1.],
            [-1.,  0.]])
    """
    if w.shape[-2] < w.shape[-1]:
        return tangent(w.mT, g.mT).mT
    product = w.mT @ g
    return g - w @ ((product + product.mT) / 2)
