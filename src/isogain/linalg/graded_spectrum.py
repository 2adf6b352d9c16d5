"""Singular values of diag(eˢ) T by their logarithms: s has no range, T is well conditioned, and no digit is lost."""

import torch
from torch import Tensor

SPAN = 400.0  # nats: what one SVD is given
MARGIN = 40.0  # nats: values as far apart no longer feel each other


def spectrum_of_rows(s: Tensor, t: Tensor) -> Tensor:
    """log σ(diag(eˢ) T), descending, for well-conditioned T of rows of unit length."""
    s, order = s.sort(descending=True)
    return _graded_logs(s, torch.linalg.qr(t[order].mT, mode="r").R.mT)


def _graded_logs(s: Tensor, lower: Tensor) -> Tensor:
    """log σ(diag(eˢ) L) for descending s and lower triangular L: one SVD for every SPAN of s.

    A principal submatrix has the values of its rows, but for those within MARGIN of a cut:
    what lies MARGIN away changes a value by a relative e^(−2·MARGIN) at most.
    """
    out, done = torch.empty_like(s), 0
    while done < len(s):
        top = int((s > s[done] + MARGIN).sum())
        bottom = int((s >= s[done] - SPAN).sum())
        until = bottom if bottom == len(s) else int((s >= s[bottom] + MARGIN).sum())
        logs = _jacobi(s[top:bottom], lower[top:bottom, top:bottom])
        out[done:until] = logs[done - top : until - top]
        done = until
    return out


def _jacobi(s: Tensor, lower: Tensor) -> Tensor:
    """log σ(diag(eˢ) L), descending, by one-sided Jacobi: relative errors of about ε·cond(L), whatever s.

    LAPACK's dgejsv: Drmač and Veselić 2008 (New fast and accurate Jacobi SVD algorithm, I and II).
    """
    from scipy.linalg.lapack import dgejsv  # nobody waits for scipy who does not need it

    middle = (s[0] + s[-1]) / 2
    columns = lower.mT * (s - middle).exp()
    # joba=0: the columns of a well-conditioned matrix, scaled; jobu=jobv=3: no vectors
    sigma, _, _, work, _, info = dgejsv(columns.numpy(), joba=0, jobu=3, jobv=3)
    if info:
        raise torch.linalg.LinAlgError(f"dgejsv did not converge (info {info})")
    logs = torch.from_numpy(sigma * (work[0] / work[1])).log()
    return logs.sort(descending=True).values + middle
