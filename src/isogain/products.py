"""All singular values of long matrix products, by their logarithms: no exponent range, no lost digits.

A product of hundreds of factors spans hundreds of decades, of which a float64 matrix holds the top
sixteen. It is kept as Q diag(eˢ) T instead: Q has orthonormal columns, T has rows of unit length and
is well conditioned, and the logarithms s have no range. Axes: n rows, r <= n the rank so far.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

GROUP = 32  # factors multiplied out before a QR decomposition, at most
RESOLVED = 1e-8  # least |R_ii| over the largest of a group whose digits float64 holds
GRADED = 1e-3  # a factor whose columns' norms differ by more is balanced first
SPAN = 400.0  # nats: what one SVD is given
MARGIN = 40.0  # nats: values as far apart no longer feel each other
REACH = MARGIN - math.log(RESOLVED)  # nats: nor do the rows of a product, whose R is graded too
ROWS = 64  # of T, multiplied at once


def log_singular_values(factors: Tensor | Iterable[Tensor]) -> Tensor:
    """Natural logarithms of all singular values of A_L … A_1, descending: L factors (..., n, n),
    the first applied first -> (..., n), float64 on the CPU.

    −inf where the product is singular (rows or columns of zeros, dependent rows). The logarithms
    are those of factors changed by about ε of the norms of their rows and columns. Raises
    torch.linalg.LinAlgError where a factor is not finite. Stewart 1995 (On graded QR decompositions
    of products of matrices); the last step is Drmač and Veselić's 2008.
    """
    products: list[Graded] = []
    group: list[Tensor] = []
    for factor in factors:
        shape = factor.shape[:-1]
        group.append(factor.detach().double().cpu().reshape(-1, *factor.shape[-2:]))
        products = products or [Graded(shape[-1]) for _ in group[0]]
        if len(group) >= min(product.size for product in products):
            _absorb(products, group)
            group = []
    if not products:
        raise ValueError("a product needs at least one factor")
    _absorb(products, group)
    return torch.stack([product.logs() for product in products]).view(shape)


def _absorb(products: "list[Graded]", group: list[Tensor]) -> None:
    for i, product in enumerate(products):
        mine = [stack[i] for stack in group]
        b = product.frame
        for a in mine:
            b = a @ b
        product.absorb(b, len(mine), lambda mine=mine: mine)


class Graded:
    """A_l … A_1 = Q diag(eˢ) T V for an orthogonal V that is not kept; Q (n, r) is the `frame`.

    `size` is how many factors the next group may have.
    """

    def __init__(self, n: int) -> None:
        draw = torch.Generator().manual_seed(0)  # its own: a look changes nothing
        start = torch.randn(n, n, generator=draw, dtype=torch.float64)
        self.n, self.size = n, 4
        self.frame = torch.linalg.qr(start).Q  # generic, so that the leading columns grow most
        self.s, self.t = start.new_zeros(n), torch.eye(n, dtype=torch.float64)

    def absorb(self, b: Tensor, count: int, factors: Callable[[], Iterable[Tensor]]) -> None:
        """Multiply by `count` factors from the left, given their product B (n, r) with the frame.

        One by one, as `factors` gives them, where B has lost digits.
        """
        if not count or not len(self.s):
            return
        least = self._take(b)
        if not least > RESOLVED:  # False for NaN too
            for a in factors():
                if count == 1 or not self._take(a @ self.frame) > RESOLVED:
                    self._step(a)
        self.size = _next_size(count, least)

    def logs(self) -> Tensor:
        """Natural logarithms of the singular values, descending; (n,)."""
        out = torch.full((self.n,), -torch.inf, dtype=torch.float64)
        if len(self.s):
            s, order = self.s.sort(descending=True)
            lower = torch.linalg.qr(self.t[order].mT, mode="r").R.mT
            out[: len(s)] = _graded_logs(s, lower)
        return out

    def _take(self, b: Tensor) -> float:
        """Multiply by factors whose product with the frame is B, if B has kept its digits; its least |R_ii| over the
        largest tells.
        """
        q, r = torch.linalg.qr(b)
        diagonal = r.diagonal().abs()
        least = (diagonal.min() / diagonal.max()).item() if len(diagonal) else math.nan
        if least > RESOLVED:
            self.frame = q
            self._multiply_sorted(r)
        return least

    def _step(self, a: Tensor) -> None:
        """One factor, however badly its rows and columns are scaled."""
        if not torch.isfinite(a).all():
            raise torch.linalg.LinAlgError("a factor has entries that are not finite")
        size = a.abs().max().clamp_min(torch.finfo(a.dtype).tiny)
        a = a / size
        self.s = self.s + size.log()
        columns = a.norm(dim=0)
        if columns.min() < GRADED * columns.max():
            self._triangularise(columns.unsqueeze(1) * self.frame)
            a = a / columns.where(columns > 0, 1)
        self._triangularise(a @ self.frame)

    def _triangularise(self, b: Tensor) -> None:
        """B = QR with a small error in every row, large or small: its rows in descending order.

        Rows of R at the level of rounding are zero: the rank falls. Cox and Higham 1998, section 4.
        """
        norms, order = b.norm(dim=1).sort(descending=True)
        q, r = torch.linalg.qr(b[order])
        noise = 8 * self.n * torch.finfo(b.dtype).eps * norms[: len(r)]
        kept = r.norm(dim=1) > noise
        self.frame = torch.empty_like(q).index_copy_(0, order, q)[:, kept]
        self._multiply(r[kept])

    def _multiply(self, r: Tensor) -> None:
        """diag(eˢ) T becomes R diag(eˢ) T, each row scaled by its own largest term."""
        if not r.numel():
            self.s, self.t = self.s[:0], self.t[:0]
            return
        exponents = r.abs().log() + self.s
        scale = exponents.amax(1, keepdim=True)
        r = r.sign() * (exponents - scale).exp()
        self._replace(r @ self.t, scale, scale.new_ones(()))

    def _multiply_sorted(self, r: Tensor) -> None:
        """The same for upper triangular R and no s far above an earlier one, by blocks of rows.

        T is upper triangular, and rows with an s far below do not reach a block: less and less to multiply.
        """
        scale = self.s.flip(0).cummax(0).values.flip(0).unsqueeze(1)  # the largest s from i on
        if (scale.squeeze(1) - self.s).max() >= SPAN:
            self._multiply(r)
            return
        size, t = r.abs().amax(), torch.zeros_like(self.t)
        for i in range(0, len(r), ROWS):
            own = slice(i, i + ROWS)
            near = slice(i, int((self.s > scale[own].min() - REACH).nonzero()[-1]) + 1)
            weight = (self.s[near] - scale[own]).clamp_(max=0).exp_()
            t[own, i:] = (r[own, near] / size * weight) @ self.t[near, i:]
        self._replace(t, scale, size)

    def _replace(self, t: Tensor, scale: Tensor, size: Tensor) -> None:
        norms = t.norm(dim=1, keepdim=True)
        self.t, self.s = t / norms, (scale + norms.log()).squeeze(1) + size.log()


def _next_size(size: int, least: float) -> int:
    """As many factors as use four fifths of the digits allowed, if conditioning goes on like this."""
    decades = -math.log10(least if least > 1e-16 else 1e-16) / size  # NaN too
    allowed = -math.log10(RESOLVED) * 0.8
    return int(min(max(allowed / max(decades, 1e-3), 1), GROUP, 2 * size))


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
        found = _jacobi(s[top:bottom], lower[top:bottom, top:bottom])
        out[done:until] = found[done - top : until - top]
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
    found = torch.from_numpy(sigma * (work[0] / work[1])).log()
    return found.sort(descending=True).values + middle
