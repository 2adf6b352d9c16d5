"""A long product as Q diag(eˢ) T, and what every factor has lost on the way to it.

Axes: n rows, r <= n the rank so far.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from isogain.linalg.graded_error import GradedError
from isogain.linalg.graded_spectrum import MARGIN, SPAN, spectrum_of_rows

GROUP = 32  # factors multiplied out before a QR decomposition, at most
RESOLVED = 1e-8  # least |R_ii| over the largest of a group whose digits float64 holds
GRADED = 1e-3  # a factor whose columns' norms differ by more is balanced first
STEP = 200.0  # nats: what one scaling of rows is given, whose squares are summed
RANGE = 1e280  # beyond it, and below its inverse, underflow may have taken digits
REACH = MARGIN - math.log(RESOLVED)  # nats: nor do the rows of a product, whose R is graded too
PROBES = 3  # random combinations of a frame's columns, multiplied alongside
ROWS = 64  # of T, multiplied at once
Factor = tuple[Tensor | None, Tensor | None]  # s and A of A diag(eˢ), an identity where None


class Graded:
    """A_l … A_1 F = Q diag(eˢ) T for orthonormal columns F (n, r); Q is the `frame`, T upper triangular.

    `size` is how many factors the next group may have, `resolved` the least |R_ii| over the largest that it may.
    """

    def __init__(self, frame: Tensor, resolved: float = RESOLVED) -> None:
        n, r = frame.shape
        self.n, self.values, self.size, self.resolved = n, r, 4, resolved
        self.frame = frame
        self.s, self.t = frame.new_zeros(r), torch.eye(r, dtype=frame.dtype)
        self.moved = GradedError(r)

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
        """About the largest error of a logarithm, in nats."""
        return self.moved.size()

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
            self.moved.carry_(r, loss, self.s)
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
        self.moved.carry_(r[kept], loss, self.s)

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


def rotation(n: int, seed: int = 0) -> Tensor:
    """A random orthogonal matrix (n, n): generic, so that the leading columns of a product grow most."""
    draw = torch.Generator().manual_seed(seed)  # its own: a look changes nothing
    return torch.linalg.qr(torch.randn(n, n, generator=draw, dtype=torch.float64)).Q


def probes(frame: Tensor) -> Tensor:
    """Standard normal combinations of a frame's r columns, always the same; (r, PROBES)."""
    draw = torch.Generator().manual_seed(1)
    return torch.randn(frame.shape[1], PROBES, generator=draw, dtype=torch.float64)


def _loss(q: Tensor, r: Tensor, b: Tensor, probed: Tensor) -> float:
    """About ‖E‖_F for a B = QR that should be B (I + E), known by its products with `probes`."""
    error = q.mT @ (b @ probes(b) - probed)
    lost = torch.linalg.solve_triangular(r, error, upper=True).norm().item()
    return max(lost / PROBES**0.5, len(r) ** 0.5 * torch.finfo(b.dtype).eps)


def _next_size(size: int, least: float, resolved: float) -> int:
    """As many factors as use four fifths of the digits allowed, if conditioning goes on like this."""
    decades = -math.log10(least if least > 1e-16 else 1e-16) / size  # NaN too
    allowed = -math.log10(resolved) * 0.8
    return int(min(max(allowed / max(decades, 1e-3), 1), GROUP, 2 * size))
