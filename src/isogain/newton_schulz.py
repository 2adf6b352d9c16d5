"""The polar factor of matrices that are nearly orthogonal, by matrix products alone, in place."""

import math
from functools import cache

import torch
from torch import Tensor, nn

from isogain.linalg import gram_error, per_matrix, pieces, polar, tall

CLOSE = 0.9  # spectral norm of E up to which the series is trusted; it converges below 1
PROBES = 8  # random vectors
TOLERANCE = {torch.float64: 1e-14, torch.float32: 2e-7}  # a few roundings of one matrix product


class NewtonSchulz(nn.Module):
    """W ← g·polar(W/g) by as few products as the measured gap needs.

    With E = WᵀW/g² − I, polar(W) = W(I + E)^(−1/2) = W(I − E/2 + 3E²/8 − 5E³/16 + 35E⁴/128 − …).
    Cut after E it is one Newton–Schulz step and costs two products, after E² three, after E⁴ four;
    what is cut off is bounded by ‖E²‖_F, which for the first cut is estimated by random vectors (too
    small an estimate leaves a gap for the next step to see). A piece of the stack stops at the first cut
    that leaves a gap (`orthogonality_gap`) of at most `tolerance` (None: rounding error), and
    repeats if none does. Where singular values of E reach 0.9 the SVD takes over; `fallbacks`
    counts those matrices. Off the CPU nothing is read: two full passes, and a matrix that is too
    far for them gets its SVD at the next call, so that the host never waits for the device.
    Björck and Bowie 1971, equation 2; Kovarik 1970.
    """

    def __init__(self, tolerance: float | None = None) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.register_buffer("fallbacks", torch.zeros((), dtype=torch.int64))
        self._late: dict[int, Late] = {}  # by the address of the piece

    def forward(self, w: Tensor, gain: float | Tensor = 1.0) -> None:
        for piece, g in pieces(w, per_matrix(gain, w)):
            (self._nearer if w.is_cpu else self._unread)(tall(piece), g)

    def _nearer(self, x: Tensor, gain: Tensor) -> None:
        tolerance = self.tolerance or TOLERANCE.get(x.dtype, 2e-7)
        left = math.inf
        while left > tolerance:
            step, size, left = correction(gram_error(x, gain), tolerance)
            far = ~(size < CLOSE)
            if far.any():
                self.fallbacks += far.sum()
                x[far] = polar(x[far]) * gain[far]
                left = math.inf
                continue
            x.copy_(torch.baddbmm(x, x, step))

    def _unread(self, x: Tensor, gain: Tensor) -> None:
        late = self._late.get(x.data_ptr())
        if late is not None and (count := late.read()):
            self.fallbacks += count
            x.copy_(polar(x) * gain)
        for _ in range(2):
            step, size, _ = correction(gram_error(x, gain), None)
            near = (size < CLOSE).view(-1, 1, 1)
            x.copy_(torch.baddbmm(x, x, step.where(near, 0)))
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
    """(I + E)^(−1/2) − I of symmetric E (matrices, m, m), by the shortest cut of its series that leaves at most
    `tolerance`; None: by the longest, without reading a number from the device. E is overwritten.

    Returns the correction, an upper bound of the spectral norm of each E, and the largest gap left (None: nan).
    """
    root = math.sqrt(error.shape[-1])
    if tolerance is not None:
        frobenius = torch.linalg.matrix_norm(error)
        largest = (square_norm(error) / root).max().item()
        if largest <= tolerance and (frobenius < CLOSE).all():
            return error.mul_(-0.5), frobenius, largest
    square = error @ error
    norm = torch.linalg.matrix_norm(square)
    size = norm.sqrt()
    step = error.mul(-0.5).add_(square, alpha=0.375)
    left = norm**1.5 / root
    if tolerance is not None and (largest := left.max().item()) <= tolerance:
        return step, size, largest
    quartic = error.mul_(-0.3125).add_(square, alpha=35 / 128)
    left = norm**2.5 / root
    largest = math.nan if tolerance is None else left.max().item()
    return torch.baddbmm(step, square, quartic), size, largest


def square_norm(error: Tensor) -> Tensor:
    """‖E²‖_F of symmetric E (matrices, m, m), estimated from E² times eight fixed random vectors; (matrices,).

    Exact for m <= 8. Never less than ‖E‖²_F/√m, which it is for equal eigenvalues.
    """
    product = error @ (error @ probes(error.shape[-1], error.dtype, error.device))
    least = torch.linalg.matrix_norm(error).square() / math.sqrt(error.shape[-1])
    return torch.linalg.matrix_norm(product).maximum(least)


@cache
def probes(m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Z (m, at most 8) with the mean of ‖AZ‖²_F equal to ‖A‖²_F; the same at every call, in every process."""
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
