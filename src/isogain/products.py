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
STEP = 200.0  # nats: what one scaling of rows is given, whose squares are summed
RANGE = 1e280  # beyond it, and below its inverse, underflow may have taken digits
PROBES = 3  # random combinations of a frame's columns, multiplied alongside
MARGIN = 40.0  # nats: values as far apart no longer feel each other
REACH = MARGIN - math.log(RESOLVED)  # nats: nor do the rows of a product, whose R is graded too
ROWS = 64  # of T, multiplied at once
Factor = tuple[Tensor | None, Tensor | None]  # s and A of A diag(eˢ), an identity where None


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
        products = products or [Graded(rotation(shape[-1])) for _ in group[0]]
        if len(group) >= min(product.size for product in products):
            _absorb(products, group)
            group = []
    if not products:
        raise ValueError("a product needs at least one factor")
    _absorb(products, group)
    return torch.stack([product.logs() for product in products]).view(shape)


def rotation(n: int, seed: int = 0) -> Tensor:
    """A random orthogonal matrix (n, n): generic, so that the leading columns of a product grow most."""
    draw = torch.Generator().manual_seed(seed)  # its own: a look changes nothing
    return torch.linalg.qr(torch.randn(n, n, generator=draw, dtype=torch.float64)).Q


def probes(frame: Tensor) -> Tensor:
    """Standard normal combinations of a frame's r columns, always the same; (r, PROBES)."""
    draw = torch.Generator().manual_seed(1)
    return torch.randn(frame.shape[1], PROBES, generator=draw, dtype=torch.float64)


def _absorb(products: "list[Graded]", group: list[Tensor]) -> None:
    for i, product in enumerate(products):
        mine: list[Factor] = [(None, stack[i]) for stack in group]
        b = torch.cat([product.frame, product.frame @ probes(product.frame)], 1)
        for _, a in mine:
            b = a @ b
        product.absorb(b[:, :-PROBES], b[:, -PROBES:], len(mine), lambda mine=mine: mine)


def _loss(q: Tensor, r: Tensor, b: Tensor, probed: Tensor) -> float:
    """About ‖E‖_F for a B = QR that should be B (I + E), known by its products with `probes`."""
    error = q.mT @ (b @ probes(b) - probed)
    lost = torch.linalg.solve_triangular(r, error, upper=True).norm().item()
    return max(lost / PROBES**0.5, len(r) ** 0.5 * torch.finfo(b.dtype).eps)


class Graded:
    """A_l … A_1 F = Q diag(eˢ) T for orthonormal columns F (n, r); Q is the `frame`, T upper triangular.

    `size` is how many factors the next group may have, `resolved` the least |R_ii| over the largest that it may.
    """

    def __init__(self, frame: Tensor, resolved: float = RESOLVED) -> None:
        n, r = frame.shape
        self.n, self.values, self.size, self.resolved = n, r, 4, resolved
        self.frame = frame
        self.s, self.t = frame.new_zeros(r), torch.eye(r, dtype=frame.dtype)
        self.losses: list[tuple[Tensor, float]] = []  # s after a group, and what the group has lost

    def absorb(
        self, b: Tensor, probed: Tensor, count: int, factors: Callable[[], Iterable[Factor]]
    ) -> None:
        """Multiply by `count` factors from the left, given their products B (n, r) with the frame, and with
        frame · `probes`.

        One by one, as `factors` gives them, where B has lost digits.
        """
        if not count or not len(self.s):
            return
        least = self._take(b, probed)
        if not least > self.resolved:  # False for NaN too
            for s, a in factors():
                product = self._product(s, a)
                if count == 1 or not self._take(*product) > self.resolved:
                    self._step(s, a)
        self.size = _next_size(count, least, self.resolved)

    def logs(self) -> Tensor:
        """Natural logarithms of the singular values, descending; (r,)."""
        out = torch.full((self.values,), -torch.inf, dtype=torch.float64)
        if len(self.s):
            out[: len(self.s)] = spectrum_of_rows(self.s, self.t)
        return out

    def error(self) -> float:
        """About the largest error of a logarithm, in nats: what every group has lost, as it has been amplified since.

        A group makes B (I + E) of B. Of that, what turns direction i towards a j > i of later growth grows with it, by
        as much as s_i − s_j has fallen until now.
        """
        total = 0.0
        for s, loss in self.losses:
            r = min(len(s), len(self.s))
            fallen = s[:r] - self.s[:r]
            most = (fallen.cummax(0).values - fallen).max().item() if r else 0.0
            total += loss * math.exp(min(most, SPAN))
        return total

    def _product(self, s: Tensor | None, a: Tensor | None) -> tuple[Tensor, Tensor]:
        """A diag(eˢ) by the frame and by frame · probes, as they are."""
        frame, probed = self.frame, self.frame @ probes(self.frame)
        if s is not None:
            scale = s.exp().where(s > -math.log(RANGE), 0).unsqueeze(1)
            frame, probed = scale * frame, scale * probed
        return (frame, probed) if a is None else (a @ frame, a @ probed)

    def _take(self, b: Tensor, probed: Tensor) -> float:
        """Multiply by factors whose product with the frame is B, if B has kept its digits; its least |R_ii| over the
        largest tells.
        """
        q, r = torch.linalg.qr(b)
        diagonal = r.diagonal().abs()
        if not len(diagonal) or not 1 / RANGE < diagonal.max() < RANGE:
            return math.nan
        least = (diagonal.min() / diagonal.max()).item()
        if least > self.resolved:
            loss = _loss(q, r, b, probed)
            self.frame = q
            self._multiply_sorted(r)
            self.losses.append((self.s, loss))
        return least

    def _step(self, s: Tensor | None, a: Tensor | None) -> None:
        """One factor, however badly its rows and columns are scaled."""
        if s is not None:
            self._scale(s)
        if a is None:
            return
        if not torch.isfinite(a).all():
            raise torch.linalg.LinAlgError("a factor has entries that are not finite")
        size = a.abs().max().clamp_min(torch.finfo(a.dtype).tiny)
        a = a / size
        self.s = self.s + size.log()
        columns = a.norm(dim=0)
        if columns.min() < GRADED * columns.max():
            self._triangularise(columns.unsqueeze(1) * self.frame)
            a = a / columns.where(columns > 0, 1)
        self._triangularise(a @ self.frame, a @ (self.frame @ probes(self.frame)))

    def _scale(self, s: Tensor) -> None:
        """diag(eˢ), as so many equal factors as float64 has the range of; −inf is 0."""
        top = s.max()
        if top.isnan() or top == torch.inf:
            raise torch.linalg.LinAlgError("a factor has entries that are not finite")
        finite = s > -torch.inf
        if not finite.any():
            self._multiply(self.frame[:0])
            self.frame = self.frame[:, :0]
            return
        self.s = self.s + top
        parts = math.ceil((top - s[finite].min()).item() / STEP)
        root = ((s - top) / max(parts, 1)).exp().unsqueeze(1)
        for _ in range(parts):
            self._triangularise(root * self.frame)
        if not parts and not finite.all():
            self._triangularise(root * self.frame)

    def _triangularise(self, b: Tensor, probed: Tensor | None = None) -> None:
        """B = QR with a small error in every row, large or small: its rows in descending order.

        Rows of R at the level of rounding are zero: the rank falls. Cox and Higham 1998, section 4.
        """
        norms, order = b.norm(dim=1).sort(descending=True)
        q, r = torch.linalg.qr(b[order])
        noise = 8 * self.n * torch.finfo(b.dtype).eps * norms[: len(r)]
        kept = r.norm(dim=1) > noise
        rank = min(int(kept.sum()), b.shape[1])
        if rank < min(int((norms > 0).sum()), b.shape[1]):
            loss = math.inf  # dependent rows, or so nearly dependent that rounding hides it
        elif probed is None or rank < len(r):
            loss = self.n * torch.finfo(b.dtype).eps
        else:
            loss = _loss(q, r, b[order], probed[order])
        self.frame = torch.empty_like(q).index_copy_(0, order, q)[:, kept]
        self._multiply(r[kept])
        self.losses.append((self.s, loss))

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


def _next_size(size: int, least: float, resolved: float) -> int:
    """As many factors as use four fifths of the digits allowed, if conditioning goes on like this."""
    decades = -math.log10(least if least > 1e-16 else 1e-16) / size  # NaN too
    allowed = -math.log10(resolved) * 0.8
    return int(min(max(allowed / max(decades, 1e-3), 1), GROUP, 2 * size))


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
