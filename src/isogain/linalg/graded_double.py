"""Products as in `products` in twice the digits: for factors that undo one another, or are far from normal.

Axes: n rows, r <= n the rank so far.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from isogain.linalg.double_double import EPS, DoubleDouble, qr
from isogain.linalg.graded import Factor
from isogain.linalg.graded_spectrum import spectrum_of_rows

GROUP = 64  # factors multiplied out before a QR decomposition, at most
RESOLVED = 1e-12  # least |R_ii| over the largest of a group
STEP = 400  # binary orders of magnitude: what one scaling of rows is given


class GradedDouble:
    """A_l … A_1 F = Q diag(2ᵏ) T for orthonormal columns F (n, r), with whole numbers k, so that scaling is exact."""

    def __init__(self, frame: Tensor) -> None:
        n, r = frame.shape
        self.n, self.values, self.size = n, r, 4
        self.frame, self.t = (
            DoubleDouble.of(frame),
            DoubleDouble.of(torch.eye(r, dtype=frame.dtype)),
        )
        self.k = torch.zeros(r, dtype=torch.int64)

    def absorb(self, factors: Callable[[], Iterable[Factor]], count: int) -> None:
        """Multiply by `count` factors from the left; one by one where their product has lost digits."""
        if len(self.k) and not self._take_all(factors()):
            for s, a in factors():
                self._step(s, a)
            self.size = max(1, count // 4)
        else:
            self.size = min(2 * count, GROUP)

    def logs(self) -> Tensor:
        """Natural logarithms of the singular values, descending; (r,)."""
        out = torch.full((self.values,), -torch.inf, dtype=torch.float64)
        if len(self.k):
            norms = self.t.hi.norm(dim=1, keepdim=True)
            s = self.k.double() * math.log(2) + norms.log().squeeze(1)
            out[: len(s)] = spectrum_of_rows(s, self.t.hi / norms)
        return out

    def _take_all(self, factors: Iterable[Factor]) -> bool:
        b, exponent = self.frame, torch.zeros((), dtype=torch.int64)
        for s, a in factors:
            if s is not None:
                if s.min() < s.max() - math.log(1 / RESOLVED):
                    return False
                whole, part = _powers(s)
                exponent = exponent + whole.max()
                b = _times_rows(b, whole - whole.max(), part)
            if a is not None:
                b = DoubleDouble.of(a) @ b
            shift = b.hi.abs().max().frexp().exponent
            b, exponent = b.scaled(-shift), exponent + shift
        largest, least = (f(torch.linalg.qr(b.hi, mode="r").R.diagonal().abs()) for f in (max, min))
        if not least > RESOLVED * largest:
            return False
        self._triangularise(b)
        self.k = self.k + exponent
        return True

    def _step(self, s: Tensor | None, a: Tensor | None) -> None:
        if s is not None and len(self.k):
            self._scale(s)
        if a is not None and len(self.k):
            self._triangularise(DoubleDouble.of(a) @ self.frame)

    def _scale(self, s: Tensor) -> None:
        """diag(eˢ), as powers of two that float64 has the range of, and numbers from 1 to 2; −inf is 0."""
        kept = s > -torch.inf
        whole, part = _powers(s)
        top = whole[kept].max() if kept.any() else 0
        whole = (whole - top).where(kept, 0)
        self._triangularise(_times_rows(self.frame, whole.clamp_min(-STEP), part))
        self.k = self.k + top
        while len(self.k) and whole.min() < -STEP:
            whole = (whole + STEP).clamp_max(0)
            one = torch.ones_like(part)
            self._triangularise(_times_rows(self.frame, whole.clamp_min(-STEP), one))

    def _triangularise(self, b: DoubleDouble) -> None:
        """B = QR with a small error in every row, large or small: its rows in descending order."""
        norms, order = b.hi.norm(dim=1).sort(descending=True)
        q, r = qr(b[order])
        kept = r.hi.norm(dim=1) > 8 * self.n * EPS * norms[: len(r.hi)]
        back = order.argsort()
        self.frame = q[back][:, kept]
        self._multiply(r[kept])

    def _multiply(self, r: DoubleDouble) -> None:
        """diag(2ᵏ) T becomes R diag(2ᵏ) T, a power of two taken out of each row."""
        if not r.hi.numel():
            self.k, self.t = self.k[:0], self.t[:0]
            return
        exponents = r.hi.frexp().exponent + self.k
        top = exponents.where(r.hi != 0, exponents.min() - 1).amax(1, keepdim=True)
        t = r.scaled(self.k - top) @ self.t
        shift = t.hi.abs().amax(1, keepdim=True).frexp().exponent
        self.t, self.k = t.scaled(-shift), (top + shift).squeeze(1)


def _powers(s: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers k and numbers from 1 to 2 with eˢ = 2ᵏ times them; 0 for −inf."""
    finite = s.where(s > -torch.inf, 0)
    whole = (finite / math.log(2)).floor()
    part = (finite - whole * math.log(2)).exp()
    return whole.to(torch.int64), part.where(s > -torch.inf, 0)


def _times_rows(b: DoubleDouble, whole: Tensor, part: Tensor) -> DoubleDouble:
    return (b * DoubleDouble.of(part.unsqueeze(1))).scaled(whole.unsqueeze(1))
