"""The polar factor of matrices that are nearly orthogonal, by matrix products alone, in place."""

import math

import torch
from torch import Tensor, nn

from isogain.linalg.inverse_root import CLOSE, correction
from isogain.linalg.orthogonality import gram_error, polar
from isogain.linalg.stacks import per_matrix, pieces, tall
from isogain.linalg.transient_dicts import ByAddress

# by default: in float32 the gap of a step that is seldom worth a fourth product, ten times that of rounding
TOLERANCE = {torch.float64: 1e-14, torch.float32: 1.5e-6}


class NewtonSchulz(nn.Module):
    """W ← g·polar(W/g) by as few products as the measured gap needs.

    With E = WᵀW/g² − I, polar(W) = W(I + E)^(−1/2) = W(I − E/2 + 3E²/8 − 5E³/16 + 35E⁴/128 − …).
    Cut after E it is one Newton–Schulz step and costs two products, after E² three, after E⁴ four.
    A piece of the stack stops at the first cut that leaves a gap (`orthogonality_gap`) of at most
    `tolerance` (None: 1.5e-6 in float32, rounding error in float64), and repeats if none does
    (`inverse_root` tells how that is known). Where singular values of E reach 0.9 the SVD takes
    over; `fallbacks` counts those matrices. Off the CPU nothing is read: two full passes, and a
    matrix that is too far for them gets its SVD at the next call, so that the host never waits for
    the device. Björck and Bowie 1971, equation 2; Kovarik 1970.
    """

    def __init__(self, tolerance: float | None = None) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.fallbacks: Tensor
        self.register_buffer("fallbacks", torch.zeros((), dtype=torch.int64))
        self._late = ByAddress()  # the piece -> its count: read too often, it costs an SVD

    def forward(self, w: Tensor, gain: float | Tensor = 1.0) -> None:
        nearer = self._nearer if w.is_cpu else self._unread
        if isinstance(gain, Tensor):
            for piece, g in pieces(w, per_matrix(gain, w)):
                nearer(tall(piece), g)
        else:
            for (piece,) in pieces(w):
                nearer(tall(piece), gain)

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


def project_(w: Tensor, gain: float | Tensor = 1.0) -> None:
    """W ← g·polar(W/g) wherever W is; waits for the device."""
    if w.is_cpu:
        NewtonSchulz()(w, gain)
    else:
        w.copy_(polar(w).mul_(gain))
