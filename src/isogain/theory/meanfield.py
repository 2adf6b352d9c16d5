"""Mean-field theory of the signal: how length and correlation go from layer to layer of a wide random network.

Pre-activations h_l = W_l φ(h_{l−1}) + b_l, with W's entries of variance σ_w²/N (or W = σ_w times
orthogonal) and b's of variance σ_b². q is the variance of a pre-activation, c the correlation of
two. Tensors broadcast and give tensors in float64, numbers give numbers.
"""

from typing import Literal

import torch
from torch import Tensor

from isogain.theory import correlation, moments
from isogain.theory.fixedpoints import critical_length, fixed_point
from isogain.theory.gaussian import Phi, named
from isogain.theory.grids import Number, check, each, one_by_one

Phase = Literal["ordered", "critical", "chaotic"]
ON_THE_LINE = 1e-9  # |χ − 1| of a critical point


def length_map(phi: Phi, q: Number, sigma_w: Number, sigma_b: Number) -> Number:
    """σ_w² E[φ(√q z)²] + σ_b². Poole et al. 2016.

    >>> length_map("linear", q=1.0, sigma_w=2.0, sigma_b=1.0)
    5.0
    """
    check(q=q, sigma_w=sigma_w, sigma_b=sigma_b)
    return each(lambda q, w, b: w**2 * moments.second(phi, q) + b**2, q, sigma_w, sigma_b)


def mu(phi: Phi, q: Number, k: int = 1) -> Number:
    """μ_k = E[φ'(√q z)^{2k}], the moments of D². Pennington, Schoenholz and Ganguli 2018.

    >>> mu("linear", q=1.0), round(mu("relu", q=1.0), 6)
    (1.0, 0.5)
    """
    check(q=q)
    return each(lambda q: moments.mu(phi, q, k), q)


def chi(phi: Phi, q: Number, sigma_w: Number) -> Number:
    """χ = σ_w² E[φ'(√q z)²], the mean squared singular value of a layer. Poole et al. 2016.

    >>> chi("linear", q=1.0, sigma_w=1.5)
    2.25
    """
    check(q=q, sigma_w=sigma_w)
    return each(lambda q, w: w**2 * moments.mu(phi, q), q, sigma_w)


def q_star(phi: Phi, sigma_w: Number, sigma_b: Number) -> Number:
    """The fixed point of the length map that q = 1 is carried to, monotonically; 0 where signals die out.

    Raises ValueError where q grows without bound, and where every q is a fixed point.

    >>> round(q_star("linear", sigma_w=0.5, sigma_b=1.5), 6)  # 1.5² / (1 − 0.5²)
    3.0
    """
    check(sigma_w=sigma_w, sigma_b=sigma_b)

    def solve(w: Tensor, b: Tensor) -> Tensor:
        q = fixed_point(phi, w, b)
        reasons = {"the length grows without bound": q.isinf(), "every length is kept": q.isnan()}
        for reason, bad in reasons.items():
            if bad.any():
                at = f"sigma_w={w[bad][0]:.6g}, sigma_b={b[bad][0]:.6g}"
                raise ValueError(f"q_star of {named(phi)} does not exist at {at}: {reason}")
        return q

    return each(solve, sigma_w, sigma_b)


def phase_diagram(phi: Phi, sigma_w: Number, sigma_b: Number) -> tuple[Number, Number]:
    """q* and χ at it; where lengths grow without bound q* is inf, where every length is kept NaN, χ of any length.

    >>> phase_diagram("linear", sigma_w=2.0, sigma_b=0.0)
    (inf, 4.0)
    """
    check(sigma_w=sigma_w, sigma_b=sigma_b)

    def solve(w: Tensor, b: Tensor) -> Tensor:
        q = fixed_point(phi, w, b)
        at = q.nan_to_num(nan=1.0, posinf=moments.LENGTHS[-1].item())
        return torch.stack([q, w**2 * moments.mu(phi, at)])

    q, slope = each(solve, sigma_w, sigma_b)
    return q, slope


def phase(phi: Phi, sigma_w: float, sigma_b: float) -> Phase:
    """Ordered (χ < 1 at q*), critical or chaotic. Poole et al. 2016.

    Raises ValueError where q grows without bound.

    >>> phase("tanh", sigma_w=0.5, sigma_b=0.1), phase("tanh", sigma_w=2.0, sigma_b=0.1)
    ('ordered', 'chaotic')
    """
    q, slope = map(float, phase_diagram(phi, sigma_w, sigma_b))
    if q == torch.inf:
        q_star(phi, sigma_w, sigma_b)
    if abs(slope - 1) < ON_THE_LINE:
        return "critical"
    return "ordered" if slope < 1 else "chaotic"


def critical(phi: Phi, q_star: Number) -> tuple[Number, Number]:
    """σ_w and σ_b at which q* is a fixed point and χ = 1. Pennington et al. 2017.

    Raises ValueError where σ_b² = q* − σ_w² E[φ²] would be negative.

    >>> [round(sigma, 5) for sigma in critical("tanh", q_star=0.5)]
    [1.29922, 0.19504]
    """
    check(q_star=q_star)

    def solve(q: Tensor) -> Tensor:
        if not (q > 0).all():
            raise ValueError(f"q_star must be a finite number > 0, got {q.min():g}")
        slope, surplus = moments.mu(phi, q), moments.surplus(phi, q)
        for bad, reason in ((slope == 0, "its slope is 0"), (surplus < 0, "sigma_b² would be < 0")):
            if bad.any():
                at = f"q_star={q[bad][0]:.6g}"
                raise ValueError(f"critical point of {named(phi)} does not exist at {at}: {reason}")
        return torch.stack([slope.rsqrt(), (surplus / slope).sqrt()])

    sigma_w, sigma_b = each(solve, q_star)
    return sigma_w, sigma_b


def critical_q(phi: Phi, sigma_w: Number) -> Number:
    """The (smallest) q* at which σ_w is critical; 0 where that is the limit of small signals.

    Raises ValueError where there is none, and where any q* will do.

    >>> round(critical_q("tanh", sigma_w=critical("tanh", q_star=0.5)[0]), 6)
    0.5
    """
    check(sigma_w=sigma_w)

    def solve(w: Tensor) -> Tensor:
        q = critical_length(phi, w)
        sides = {"every q_star is": q.isnan(), "chi > 1 at every q_star, none is": q == torch.inf}
        for reason, bad in (sides | {"chi < 1 at every q_star, none is": q == -torch.inf}).items():
            if bad.any():
                raise ValueError(f"sigma_w={w[bad][0]:.6g} with {named(phi)}: {reason} critical")
        return q

    return each(solve, sigma_w)


def correlation_map(phi: Phi, c: Number, q: Number, sigma_w: Number, sigma_b: Number) -> Number:
    """(σ_w² E[φ(x)φ(y)] + σ_b²) / length_map of x, y of variance q and correlation c. Poole et al. 2016.

    >>> round(correlation_map("linear", c=0.5, q=1.0, sigma_w=1.0, sigma_b=1.0), 6)  # (0.5 + 1) / 2
    0.75
    """
    check(q=q, sigma_w=sigma_w, sigma_b=sigma_b)

    def solve(c: float, q: float, w: float, b: float) -> float:
        length = float(length_map(phi, q, w, b))
        return (w**2 * correlation.kernel(phi, c, q) + b**2) / length

    return one_by_one(solve, c, q, sigma_w, sigma_b)


def correlation_slope(phi: Phi, c: Number, q: Number, sigma_w: Number) -> Number:
    """σ_w² E[φ'(x)φ'(y)]: at q* the correlation map's derivative by c, χ at c = 1. Poole et al. 2016.

    >>> round(correlation_slope("linear", c=0.5, q=1.0, sigma_w=2.0), 6)
    4.0
    """
    check(q=q, sigma_w=sigma_w)
    return one_by_one(lambda c, q, w: w**2 * correlation.slope_kernel(phi, c, q), c, q, sigma_w)


def c_star(phi: Phi, sigma_w: Number, sigma_b: Number) -> Number:
    """The stable fixed point of the correlation map at q*: 1 unless chaotic. Poole et al. 2016.

    >>> c_star("tanh", sigma_w=0.5, sigma_b=0.1)
    1.0
    """
    q = q_star(phi, sigma_w, sigma_b)

    def solve(q: float, w: float, b: float) -> float:
        chaotic = float(chi(phi, q, w)) > 1 + ON_THE_LINE
        return correlation.fixed_correlation(phi, q, w**2, b**2) if chaotic else 1.0

    return one_by_one(solve, q, sigma_w, sigma_b)


def depth_scales(phi: Phi, sigma_w: Number, sigma_b: Number) -> tuple[Number, Number]:
    """ξ_q and ξ_c, the depths over which length and correlation settle at q* and c*. Schoenholz et al. 2017.

    −1/log of the maps' slopes there: inf on the critical line.

    >>> [round(depth, 4) for depth in depth_scales("linear", sigma_w=0.5, sigma_b=1.0)]  # 1 / log 4
    [0.7213, 0.7213]
    """
    q = q_star(phi, sigma_w, sigma_b)
    length = each(lambda q, w: w**2 * moments.second_with_slope(phi, q)[1], q, sigma_w)
    slope = correlation_slope(phi, c_star(phi, sigma_w, sigma_b), q, sigma_w)
    return one_by_one(correlation.depth, length), one_by_one(correlation.depth, slope)
