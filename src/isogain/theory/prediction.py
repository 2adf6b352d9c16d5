"""What theory says of one network at its initialisation, as it goes on the record beside what is measured."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from isogain.theory import meanfield
from isogain.theory import recurrent as rnn
from isogain.theory.critical_point import SCALE_FREE, STEPS
from isogain.theory.law import LEAST
from isogain.theory.spectrum import Spectrum, Weights, moments


class Prediction(NamedTuple):
    """Numbers by name, and the law of the Jacobian's singular values; nothing where theory says nothing.

    q_star       variance of a pre-activation
    chi          mean s² of a layer or step
    mean_square, variance, s_max   of the whole Jacobian: E s², Var s², the largest s
    xi_c         layers over which correlations settle, if not infinite
    """

    numbers: dict[str, float]
    spectrum: Spectrum | None = None


def layers(phi: str, sigma_w: float, sigma_b: float, depth: int, weights: Weights) -> Prediction:
    """Of L = `depth` layers or time steps at q*, Pennington, Schoenholz and Ganguli 2018; nothing where q* is 0.

    The Jacobian of linear and ReLU networks is the same at every length: they need no q* for it.
    """
    q = _length(phi, sigma_w, sigma_b)
    numbers: dict[str, float] = {}
    if q is None and phi not in SCALE_FREE:
        return Prediction({})
    if q is not None:
        xi_c = float(meanfield.depth_scales(phi, sigma_w, sigma_b)[1])
        numbers = {"q_star": q, "xi_c": xi_c}
    q = q or 1.0
    law = Spectrum(phi, q, sigma_w, depth, weights)
    try:
        mean, variance = map(float, moments(phi, q, sigma_w, depth, weights))
        numbers |= {"chi": float(meanfield.chi(phi, q, sigma_w)), "mean_square": mean}
        numbers |= {"variance": variance, "s_max": math.exp(law.log_max() / 2)}
        beyond = law.log_max() / 2 < LEAST
    except OverflowError:
        beyond = True
    return Prediction(_finite(numbers), None if beyond else law)


def recurrence(
    phi: str, sigma_w: float, sigma_b: float, drives: Tensor, weights: Weights
) -> Prediction:
    """Of T steps from h_0 = 0 under an input that brings R_1 … R_T = `drives` (T,), long before q* is reached:

    q_t = σ_w² E[φ(√q_{t−1} z)²] + σ_b² + R_t, mean Π χ(q_t), variance mean² Σ (μ₂/μ₁² − 1 − s₁)(q_t): moments of a
    product of free factors. q*, χ and ξ_c are those of the mean drive. Chen et al. 2018.
    """
    stationary = math.hypot(sigma_b, drives.mean().sqrt().item())
    numbers = dict(layers(phi, sigma_w, stationary, 1, weights).numbers)
    for name in ("mean_square", "variance", "s_max"):  # of one step
        numbers.pop(name, None)
    if phi == "modrelu":
        return Prediction({})
    lengths: list[float] = []
    for drive in drives.tolist():
        last = lengths[-1] if lengths else 0.0
        before = float(meanfield.length_map(phi, last, sigma_w, sigma_b)) if last else sigma_b**2
        lengths.append(before + drive)
    q = torch.tensor(lengths, dtype=torch.float64)
    if phi == "relu" and not q.all():  # no slope at exactly 0
        return Prediction(numbers)
    mean, variance = map(torch.as_tensor, moments(phi, q, sigma_w, 1, weights))
    whole, spread = mean.prod().item(), (variance / mean.square()).sum().item()
    return Prediction(_finite(numbers | {"mean_square": whole, "variance": whole**2 * spread}))


def gates(
    sigma_w: float, forget_bias: float, drive: float, steps: int, weights: Weights
) -> Prediction:
    """Of one step of an LSTM, the last of `steps` (at most 32): theory of the whole Jacobian there is none."""
    step = rnn.lstm_step(sigma_w, forget_bias, drive, min(steps, STEPS), weights)
    return Prediction({"chi": step.mean})


def _length(phi: str, sigma_w: float, sigma_b: float) -> float | None:
    """q* > 0, or None where there is none."""
    if phi == "modrelu":
        return None
    try:
        return float(meanfield.q_star(phi, sigma_w, sigma_b)) or None
    except ValueError:  # the length grows without bound, or every length is kept
        return None


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
