"""Matrices of some 31 decimal digits: unevaluated sums of two float64, for what float64 itself decides too coarsely.

A product of matrices is made of exact products of slices of them, by BLAS. Dekker 1971 (sums and products); Ozaki,
Ogita, Oishi and Rump 2012 (matrix products).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EPS = 2.0**-104
SLICES = 5
SPLIT = 2.0**27 + 1


@dataclass(frozen=True)
class DoubleDouble:
    """hi + lo, of any shape, with |lo| <= half the last digit of hi."""

    hi: Tensor
    lo: Tensor

    @classmethod
    def of(cls, a: Tensor) -> "DoubleDouble":
        return cls(a, torch.zeros_like(a))

    def __getitem__(self, at: Any) -> "DoubleDouble":
        return DoubleDouble(self.hi[at], self.lo[at])

    def __add__(self, other: "DoubleDouble") -> "DoubleDouble":
        s, e = two_sum(self.hi, other.hi)
        t, f = two_sum(self.lo, other.lo)
        s, e = _normalised(s, e + t)
        return DoubleDouble(*_normalised(s, e + f))

    def __sub__(self, other: "DoubleDouble") -> "DoubleDouble":
        return self + DoubleDouble(-other.hi, -other.lo)

    def __mul__(self, other: "DoubleDouble") -> "DoubleDouble":
        p, e = two_product(self.hi, other.hi)
        return DoubleDouble(*_normalised(p, e + (self.hi * other.lo + self.lo * other.hi)))

    def __matmul__(self, other: "DoubleDouble") -> "DoubleDouble":
        """Right to 2⁻¹⁰⁰ or so of the largest of a row times the largest of a column."""
        inner = self.hi.shape[1]
        bits = math.floor((53 - math.log2(max(SLICES * inner, 2))) / 2)
        a, b = _slices(self, 1, bits), _slices(other, 0, bits)
        total = DoubleDouble.of(self.hi.new_zeros(len(self.hi), other.hi.shape[1]))
        for level in reversed(range(SLICES)):  # the smallest first; each product is exact
            pairs = [(i, level - i) for i in range(level + 1) if i < len(a) and level - i < len(b)]
            if pairs:
                left = torch.cat([a[i] for i, _ in pairs], 1)
                right = torch.cat([b[j] for _, j in pairs], 0)
                total = total + DoubleDouble.of(left @ right)
        return total

    @property
    def mT(self) -> "DoubleDouble":
        return DoubleDouble(self.hi.mT, self.lo.mT)

    def scaled(self, exponents: Tensor) -> "DoubleDouble":
        """Times powers of two, exact but for underflow."""
        power = power_of_two(exponents)
        return DoubleDouble(self.hi * power, self.lo * power)

    def sum(self) -> "DoubleDouble":
        """Over the first axis."""
        rows = self
        while len(rows.hi) > 1:
            half = len(rows.hi) // 2
            odd = rows[2 * half :]
            rows = rows[:half] + rows[half : 2 * half]
            if len(odd.hi):
                rows = DoubleDouble(torch.cat([rows.hi, odd.hi]), torch.cat([rows.lo, odd.lo]))
        return rows[0]

    def reciprocal(self) -> "DoubleDouble":
        """One step of Newton's."""
        x = DoubleDouble.of(1 / self.hi)
        return x + x * (DoubleDouble.of(torch.ones_like(self.hi)) - self * x)

    def sqrt(self) -> "DoubleDouble":
        """One step of Newton's; of what is positive."""
        x = DoubleDouble.of(self.hi.sqrt())
        return x + (self - x * x) * DoubleDouble.of(0.5 / x.hi)


def power_of_two(k: Tensor) -> Tensor:
    """2ᵏ in float64, to the bit (torch's ldexp and exp2 round); 0 below its range, and the largest above it."""
    bits = (k.to(torch.int64).clamp(-1023, 1023) + 1023) << 52
    return bits.view(torch.float64)


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """fl(a + b) and its error, exactly."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def two_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """fl(ab) and its error, exactly but for underflow."""
    p, (a1, a2), (b1, b2) = a * b, _halves(a), _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def qr(b: DoubleDouble) -> tuple[DoubleDouble, DoubleDouble]:
    """B (n, r) = QR with orthonormal columns and upper triangular R (r, r), r <= n, by Householder's reflections."""
    n, r = b.hi.shape
    b = DoubleDouble(b.hi.clone(), b.lo.clone())
    reflections = [_reflect_(b[k:, k:]) for k in range(r)]
    q = DoubleDouble.of(torch.eye(n, r, dtype=b.hi.dtype))
    for k in reversed(range(r)):
        if (reflection := reflections[k]) is not None:
            _apply_(q[k:], *reflection)
    return q, b[:r]


def _reflect_(b: DoubleDouble) -> tuple[DoubleDouble, DoubleDouble] | None:
    """The first column becomes (±‖b‖, 0, …, 0): v and β of I − βvvᵀ; None where there is nothing to do."""
    exponent = b.hi[:, 0].abs().max().frexp().exponent
    x = b[:, 0].scaled(-exponent)
    if not x.hi.any():
        return None
    norm = (x * x).sum().sqrt()
    sign = 1.0 if x.hi[0] >= 0 else -1.0
    norm = DoubleDouble(sign * norm.hi, sign * norm.lo)
    first = x[0] + norm
    v = DoubleDouble(x.hi.clone(), x.lo.clone())
    v.hi[0], v.lo[0] = first.hi, first.lo
    beta = (norm * first).reciprocal()
    _apply_(b, v, beta)
    b.hi[1:, 0] = b.lo[1:, 0] = 0
    return v, beta


def _apply_(b: DoubleDouble, v: DoubleDouble, beta: DoubleDouble) -> None:
    """B <- (I − βvvᵀ) B."""
    v = v[:, None]
    changed = b - v * (beta * (v * b).sum())[None]
    b.hi.copy_(changed.hi)
    b.lo.copy_(changed.lo)


def _slices(a: DoubleDouble, dim: int, bits: int) -> list[Tensor]:
    """SLICES parts of so many bits each below the largest of a row (dim 1) or column (0), as far as there are any."""
    largest = a.hi.abs().amax(dim, keepdim=True)
    unit = power_of_two(largest.frexp().exponent)
    parts = []
    for _ in range(SLICES):
        unit = unit * 2.0**-bits
        part = (a.hi / unit).round() * unit
        part = part.where(unit > 0, 0)
        parts.append(part)
        a = DoubleDouble(*two_sum(a.hi - part, a.lo))
        if not a.hi.any():
            break
    return parts


def _normalised(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    s = a + b
    return s, b - (s - a)


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    c = SPLIT * a
    high = c - (c - a)
    return high, a - high
