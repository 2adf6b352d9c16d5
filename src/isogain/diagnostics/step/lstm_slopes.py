"""The derivatives of one step of one layer of an LSTM, from its pre-activations z: no digit is lost to saturation.

Axes: B examples, m rows, N units, K inputs. The four gates are in the order i, f, g, o, (4, N, K) each kernel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from isogain.activations import (
    log_sigmoid_derivative,
    log_tanh_derivative,
    sigmoid_derivative,
    tanh_derivative,
)
from isogain.diagnostics.step.factors import Scaled, resolved


class Slopes(NamedTuple):
    """One step's derivatives at each unit, (B, N): of c by the terms of i, f, g; of h by c and by o's term; and f."""

    i: Tensor
    forget: Tensor
    g: Tensor
    c: Tensor
    o: Tensor
    f: Tensor

    @classmethod
    def of(cls, z: Sequence[Tensor], c: Tensor, c_next: Tensor) -> "Slopes":
        """From the gates' z (B, N), four of them, c before and after."""
        i, f, g, o = z
        return cls(
            g.tanh() * sigmoid_derivative(i),
            c * sigmoid_derivative(f),
            i.sigmoid() * tanh_derivative(g),
            o.sigmoid() * tanh_derivative(c_next),
            c_next.tanh() * sigmoid_derivative(o),
            f.sigmoid(),
        )

    def to(self, like: Tensor) -> "Slopes":
        """In the precision of `like`."""
        return Slopes(*(resolved(slope, like) for slope in self))

    def push(self, z: Sequence[Tensor], c: Tensor) -> list[Tensor]:
        """The differentials of h and c, given those of the gates' z and of c before; (B, N) each."""
        i, f, g, o = z
        c = self.f * c + self.i * i + self.forget * f + self.g * g
        return [self.c * c + self.o * o, c]

    def times(self, w: Tensor) -> Tensor:
        """∂(h by o's term, c)/∂v for the gates' matrices w (4, N, K) of a vector v: (B, 2N, K)."""
        i, forget, g, o = (slope.unsqueeze(-1) for slope in (self.i, self.forget, self.g, self.o))
        w = w.to(i.dtype)
        out = w.new_empty(len(i), 2 * w.shape[1], w.shape[2])
        by_o, by_c = out.chunk(2, -2)
        torch.mul(o, w[3], out=by_o)
        torch.mul(i, w[0], out=by_c).addcmul_(forget, w[1]).addcmul_(g, w[2])
        return out


class LogSlopes(NamedTuple):
    """The same as a product of row-scaled matrices, whose scales have no range.

    With p = log ∂h/∂c, q = log |∂h/∂(o's term)|, m the logarithm of the largest term of ∂c and a = max(q, p + m)

        ∂(h, c)_{t+1}/∂(h, c)_t = diag(eᵃ, eᵐ) [I y; 0 I] diag(e^(q − a), I) [±W_o 0; G I] diag(I, e^(log f − m))

    with y = e^(p + m − a) and G = Σ ±e^(slope − m) W over i, f and g: what is too small for float64 is added to 1.
    """

    slopes: Tensor  # log |slope| of i, f, g and o's terms; (4, B, N)
    signs: Tensor
    p: Tensor
    f: Tensor
    m: Tensor
    a: Tensor

    @classmethod
    def of(cls, z: Sequence[Tensor], c: Tensor, c_next: Tensor) -> "LogSlopes":
        i, f, g, o = z
        values = torch.stack([g.tanh(), c, torch.ones_like(c), c_next.tanh()])
        by_z = [log_sigmoid_derivative(v) for v in (i, f, o)]
        by_z.insert(2, logsigmoid(i) + log_tanh_derivative(g))
        slopes = torch.stack(by_z) + values.abs().log()
        p = logsigmoid(o) + log_tanh_derivative(c_next)
        m = torch.maximum(slopes[:3].amax(0), logsigmoid(f))
        return cls(slopes, values.sign(), p, logsigmoid(f), m, torch.maximum(slopes[3], p + m))

    def factors(self, w: Tensor, u: Tensor | None, at: int, size: int) -> list[Scaled]:
        """Of the layer whose state begins at `at` of `size` entries, with kernels W (4, N, N), and U of the layer
        below (4, N, N) if there is one.
        """
        n = w.shape[-1]
        h, c = slice(at, at + n), slice(at + n, at + 2 * n)
        unit = torch.eye(size, dtype=w.dtype, device=w.device)
        kernels, upper = (unit.repeat(self.p.shape[0], 1, 1) for _ in range(2))
        kernels[:, h, h], kernels[:, c, h] = self._times(w)
        if u is not None:
            below = slice(at - 2 * n, at - n)
            kernels[:, h, below], kernels[:, c, below] = self._times(u)
        upper[:, h, c] = torch.diag_embed((self.p + self.m - self.a).exp())
        zeros = self.p.new_zeros(self.p.shape[0], size)
        scales = [zeros.clone() for _ in range(3)]
        scales[0][:, c] = self.f - self.m
        scales[1][:, h] = self.slopes[3] - self.a
        scales[2][:, h], scales[2][:, c] = self.a, self.m
        return [Scaled(s, a) for s, a in zip(scales, (None, kernels, upper), strict=True)]

    def into(self, u: Tensor, size: int) -> Tensor:
        """What takes the place of [±W_o 0; G I] for the first layer's input, U (4, N, D): (B, size, D)."""
        n = u.shape[1]
        factor = u.new_zeros(self.p.shape[0], size, u.shape[2])
        factor[:, :n], factor[:, n : 2 * n] = self._times(u)
        return factor

    def _times(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """±W_o and G, (B, N, K) each."""
        weights = self.signs[:3] * (self.slopes[:3] - self.m).exp()
        return self.signs[3].unsqueeze(-1) * w[3], torch.einsum("gbn,gnk->bnk", weights, w[:3])
