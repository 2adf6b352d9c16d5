"""Mean-field theory of recurrent networks: the vanilla recurrence with an input, and one step of an LSTM.

`drive` is the variance that the input adds to a pre-activation, E[(U x_t)²], drawn anew at every
step. An LSTM's gates are i, f, g, o; all four kernels have variance σ_w²/N (or are σ_w times
orthogonal). P units of a population stand for the law of a unit.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from isogain.config.ranges import at_least
from isogain.theory import meanfield
from isogain.theory.gaussian import Phi
from isogain.theory.grids import Number
from isogain.theory.spectrum import Weights

UNITS = 2**13
LARGEST = 32.0  # σ_w that is tried
CLOSE = 1e-8  # to 1, of the mean squared singular value


def q_star(phi: Phi, sigma_w: Number, sigma_b: Number, drive: Number) -> Number:
    """The fixed point of q ↦ σ_w² E[φ(√q z)²] + σ_b² + R, R the drive. Chen et al. 2018."""
    return meanfield.q_star(phi, sigma_w, (sigma_b**2 + drive) ** 0.5)


def critical(phi: Phi, q_star: float, drive: float) -> tuple[float, float]:
    """σ_w and σ_b at which χ = 1 at q* under a drive; raises ValueError where the drive alone is too strong."""
    sigma_w, total = map(float, meanfield.critical(phi, q_star))
    if drive > total**2 * (1 + 1e-9):
        raise ValueError(
            f"drive must be at most {total**2:.4g} at q_star={q_star:g}, got {drive:g}"
        )
    return sigma_w, math.sqrt(max(0.0, total**2 - drive))


class Step(NamedTuple):
    """What one step of an LSTM does on average: E[h²], E[c²], and mean and variance of the Jacobian's s²."""

    h2: float
    c2: float
    mean: float
    variance: float


def lstm_step(
    sigma_w: float, forget_bias: float, drive: float, steps: int, weights: Weights = "orthogonal"
) -> Step:
    """∂(h, c)_t/∂(h, c)_{t−1} at t = `steps`, from h_0 = c_0 = 0. Gilboa et al. 2019, in both h and c.

    J = C E_c + M E_h, M = Σ_k D_k W_k over the gates: with the 2 × 2 matrices of a unit C Cᵀ and
    K = σ_w² Σ_k D_k D_kᵀ, free independence gives E tr J Jᵀ and E tr (J Jᵀ)².
    """
    c, h2, rows = _state(at_least("sigma_w", sigma_w, 0), forget_bias, drive, steps)
    carried, *kernels = rows  # each (2, P): what reaches c and what reaches h
    k = [sigma_w**2 * d[:, None] * d for d in kernels]
    total, kept = sum(k), carried[:, None] * carried
    share = torch.stack([_trace(part) for part in k]).double()
    mean = (_trace(kept) + share.sum()) / 2
    bent = share.sum() ** 2 - (share.square().sum() if weights == "orthogonal" else 0)
    square = ((kept + total).square().sum((0, 1)).mean() + bent) / 2
    return Step(h2, c.square().mean().item(), mean.item(), (square - mean**2).item())


@lru_cache(maxsize=64)
def lstm_critical(
    forget_bias: float, drive: float, steps: int, weights: Weights = "orthogonal"
) -> float:
    """σ_w at which the mean squared singular value of one step is 1; raises ValueError where none up to 32 is.

    The population is one draw of 8192 units, the same in every call: over 16 others σ_w has a standard deviation of
    0.45 % at forget bias 1 and 0.61 % at 3 (drive 1/64, T = 32), 0.36 % at 0 (drive 0.3, T = 28).
    """

    def excess(sigma_w: float) -> float:
        return lstm_step(sigma_w, forget_bias, drive, steps, weights).mean - 1

    low, high = 0.0, 1.0
    below, above = excess(low), excess(high)
    while above < 0 and high < LARGEST:
        low, below, high = high, above, 2 * high
        above = excess(high)
    if not below < 0 < above:
        raise ValueError(
            f"no sigma_w makes an LSTM step isometric at forget_bias={forget_bias:g}, drive={drive:g}"
        )
    while above - below > CLOSE:  # regula falsi; an end that stays counts half, after Illinois
        sigma_w = (low * above - high * below) / (above - below)
        if abs(value := excess(sigma_w)) < CLOSE:
            return sigma_w
        if value > 0:
            high, above, below = sigma_w, value, below / 2
        else:
            low, below, above = sigma_w, value, above / 2
    return high


def _trace(k: Tensor) -> Tensor:
    """Mean trace of the units' 2 × 2 matrices; (2, 2, P) -> ()."""
    return k.diagonal().sum(-1).mean()


def _state(
    sigma_w: float, forget_bias: float, drive: float, steps: int
) -> tuple[Tensor, float, list[Tensor]]:
    """c_{t−1} of the population, E[h_{t−1}²], and the columns through which c, and the gates i, f, g, o, act.

    The weights are the same at every step, so a unit's pre-activations are a Gaussian process over
    time with covariance σ_w² E[h_t h_s] + R δ_ts, drawn step by step by a growing Cholesky factor.
    """
    draw = torch.Generator().manual_seed(0)  # the same population at every σ_w
    steps = int(at_least("steps", steps, 1))
    noise = torch.randn(steps, 4, UNITS, generator=draw, dtype=torch.float64)
    root = torch.zeros(steps, steps, dtype=torch.float64)  # of the covariance of z over time
    hs, c = torch.zeros(steps + 1, UNITS, dtype=torch.float64), noise.new_zeros(UNITS)
    for t in range(steps):
        overlap = sigma_w**2 * (hs[: t + 1] @ hs[t]) / UNITS  # the same W meets h_t and h_s
        past = torch.linalg.solve_triangular(root[:t, :t], overlap[:t, None], upper=False)[:, 0]
        rest = overlap[t] + at_least("drive", drive, 0) - past.square().sum()
        root[t, :t], root[t, t] = past, rest.clamp_min(1e-12).sqrt()
        z = torch.tensordot(root[t, : t + 1], noise[: t + 1], 1)
        i, f, g, o = z[0].sigmoid(), (z[1] + forget_bias).sigmoid(), z[2].tanh(), z[3].sigmoid()
        before, c = c, f * c + i * g
        hs[t + 1] = o * c.tanh()
    # what a change of c_t does to c_t and h_t
    through = torch.stack([torch.ones_like(o), o * (1 - c.tanh().square())])
    gates = [i * (1 - i) * g, f * (1 - f) * before, i * (1 - g.square())]
    output = torch.stack([torch.zeros_like(o), o * (1 - o) * c.tanh()])
    h2 = hs[steps - 1].square().mean().item()
    return before, h2, [f * through, *(d * through for d in gates), output]
