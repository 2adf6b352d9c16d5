"""The polar factor of matrices that are nearly orthogonal, by matrix products alone, in place."""

import math
from functools import cache

import torch
from torch import Tensor, nn

from isogain.linalg import gram_error, per_matrix, pieces, polar, symmetric_product, tall

CLOSE = 0.9  # spectral norm of E up to which the series is trusted; it converges below 1
PROBES = 16  # random vectors
SAFETY = 1.5  # times an estimate from them: 1 in 100 is too small all the same
# by default: in float32 the gap of a step that is seldom worth a fourth product, ten times that of rounding
TOLERANCE = {torch.float64: 1e-14, torch.float32: 1.5e-6}


class NewtonSchulz(nn.Module):
    """W ← g·polar(W/g) by as few products as the measured gap needs.

    With E = WᵀW/g² − I, polar(W) = W(I + E)^(−1/2) = W(I − E/2 + 3E²/8 − 5E³/16 + 35E⁴/128 − …).
    Cut after E it is one Newton–Schulz step and costs two products, after E² three, after E⁴ four.
    A piece of the stack stops at the first cut that leaves a gap (`orthogonality_gap`) of at most
    `tolerance` (None: 1.5e-6 in float32, rounding error in float64), and repeats if none does. The
    gaps, 3E²/4, 5E³/8 and 63E⁵/128 to leading order, are bounded by the norms of E and E²; where
    that does not decide on the first, it is estimated by random vectors. Where singular values of E
    reach 0.9 the SVD takes over; `fallbacks` counts those matrices. Off the CPU nothing is read:
    two full passes, and a matrix that is too far for them gets its SVD at the next call, so that
    the host never waits for the device. Björck and Bowie 1971, equation 2; Kovarik 1970.
    """

    def __init__(self, tolerance: float | None = None) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.register_buffer("fallbacks", torch.zeros((), dtype=torch.int64))
        self._late: dict[int, Late] = {}  # by the address of the piece

    def forward(self, w: Tensor, gain: float | Tensor = 1.0) -> None:
        own = [per_matrix(gain, w)] if isinstance(gain, Tensor) else []
        for piece, *g in pieces(w, *own):
            (self._nearer if w.is_cpu else self._unread)(tall(piece), *g or [gain])

    def _nearer(self, x: Tensor, gain: float | Tensor) -> None:
        tolerance = self.tolerance or TOLERANCE.get(x.dtype, 1.5e-6)
        left = math.inf
        while left > tolerance:
            twice, size, left = correction(gram_error(x, gain), tolerance)
            if left < math.inf:
                x.sub_(x @ twice, alpha=0.5)
            else:
                far = ~(size < CLOSE)
                self.fallbacks += far.sum()
                x[far] = polar(x[far]) * (gain[far] if isinstance(gain, Tensor) else gain)

    def _unread(self, x: Tensor, gain: float | Tensor) -> None:
        late = self._late.get(x.data_ptr())
        if late is not None and (count := late.read()):
            self.fallbacks += count
            x.copy_(polar(x) * gain)
        for _ in range(2):
            twice, size, _ = correction(gram_error(x, gain), None)
            near = (size < CLOSE).view(-1, 1, 1)
            x.copy_(torch.baddbmm(x, x, twice.where(near, 0), alpha=-0.5))
        self._late[x.data_ptr()] = Late((~near).sum())


class Late:
    """A count on its way from the device, for the host to read after a whole training step, when it has arrived."""

    def __init__(self, count: Tensor) -> None:
        self.count = count.to("cpu", non_blocking=True)
        self.arrived = torch.cuda.Event() if count.is_cuda else None
        if self.arrived is not None:
            self.arrived.record()

    def read(self) -> int:
        if self.arrived is not None:
            self.arrived.synchronize()
        return int(self.count)


def correction(error: Tensor, tolerance: float | None) -> tuple[Tensor, Tensor, float]:
    """C in (I + E)^(−1/2) = I − C/2 of symmetric E (matrices, m, m), by the shortest cut of its series that leaves at
    most `tolerance`; None: by the longest, without reading a number from the device. E is overwritten.

    Returns C, an upper bound of the spectral norm of each E, and the largest gap left: nan where none is
    read, infinity where the series would not converge or converges too slowly, and C means nothing.
    """
    root, left = math.sqrt(error.shape[-1]), math.nan
    if tolerance is not None:
        norm = torch.linalg.matrix_norm(error)
        largest = norm.max().item()
        if largest < CLOSE and (left := first_gap(error, largest, tolerance)) <= tolerance:
            return error, norm, left
    square = symmetric_product(error, error.mT)
    size = torch.linalg.matrix_norm(square).sqrt_()
    if tolerance is not None:
        largest = size.max().item()
        if not largest < CLOSE:
            return square, size, math.inf
        left = (0.625 + 0.375 * largest) * largest**3 / root
        if left <= tolerance:
            return error.sub_(square, alpha=0.75), size, left
        left = (1 + largest) / 2 * largest**5 / root
    quadratic = torch.sub(error, square, alpha=0.75)
    higher = error.sub_(square, alpha=0.875)
    return quadratic.add_(symmetric_product(square, higher), alpha=0.625), size, left


def first_gap(error: Tensor, norm: float, tolerance: float) -> float:
    """The gap that a cut after E leaves in any matrix of the stack E (matrices, m, m) of largest norm `norm`.

    A bound of it where that tells on which side of `tolerance` it is: ‖E²‖_F lies between ‖E‖²_F/√m
    and ‖E‖²_F. Else an estimate.
    """
    root, scale = math.sqrt(error.shape[-1]), 0.75 + norm / 4
    upper = scale * norm**2 / root
    if upper <= tolerance or not upper / root <= tolerance:
        return upper
    probed = error @ (error @ probes(error.shape[-1], error.dtype, error.device))
    return SAFETY * scale * torch.linalg.matrix_norm(probed).max().item() / root


@cache
def probes(m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Z (m, at most 16) with the mean of ‖AZ‖²_F equal to ‖A‖²_F; the same at every call, in every process."""
    if m <= PROBES:
        return torch.eye(m, dtype=dtype, device=device)
    normal = torch.randn(m, PROBES, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return (normal / math.sqrt(PROBES)).to(device)


def project_(w: Tensor, gain: float | Tensor = 1.0) -> None:
    """W ← g·polar(W/g) wherever W is; waits for the device."""
    if w.is_cpu:
        NewtonSchulz()(w, gain)
    else:
        w.copy_(polar(w).mul_(gain))
