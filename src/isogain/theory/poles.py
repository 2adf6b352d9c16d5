"""Functions of one slope d with a pole at w = d, in logarithms and real parts: w = top · e^η, d = top · e^−fall.

η complex and `fall` real broadcast; all digits are kept where w is near d.
"""

import torch
from torch import Tensor


def _excess(eta: Tensor, fall: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Real and imaginary parts of w/d = exp(η + fall) and of w/d − 1, with all digits near 0."""
    x = (eta.real + fall).clamp_max(300)
    cosine, sine, grows = eta.imag.cos(), eta.imag.sin(), x.exp()
    imag = grows * sine
    return grows * cosine, imag, x.expm1() * cosine - 2 * (eta.imag / 2).sin().square(), imag


def transforms(eta: Tensor, fall: Tensor) -> list[Tensor]:
    """p = d/(w − d) and 1 + p, whose imaginary parts are the same, and dp/dη = −p (1 + p)."""
    up, up_imag, off, off_imag = _excess(eta, fall)
    square = off.square() + off_imag.square()
    p, imag = off / square, -off_imag / square
    one_p = (up * off + up_imag * off_imag) / square
    return [p, one_p, imag, imag.square() - p * one_p, -imag * (p + one_p)]


def angle(eta: Tensor, fall: Tensor) -> list[Tensor]:
    """arg(w − d)."""
    *_, off, imag = _excess(eta, fall)
    return [torch.atan2(imag, off)]
