"""Which mean-field theory is that of a network: `mean_field` is registered for its type, in the type's own file.

Theory knows no networks: it has of one the facts that it needs, and U x_t, the input's part of a pre-activation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol

from torch import Tensor

from isogain.theory import critical_point, prediction
from isogain.theory.critical_point import Point
from isogain.theory.prediction import Prediction
from isogain.theory.spectrum import Weights

Drives = Callable[[], Tensor]  # U x_t of every step, (T, B, N), computed where a theory asks for it


class MeanField(Protocol):
    """What a theory says of one network."""

    def critical(
        self, q_star: float | None, sigma_w: float | None, normalise_input: bool, weights: Weights
    ) -> Point:
        """The critical point, by q* or σ_w; raises ValueError where there is none."""
        ...

    def predicted(self, at: Point, weights: Weights, drives: Drives) -> Prediction:
        """What holds at initialisation under an input."""
        ...


@singledispatch
def mean_field(net: object) -> MeanField | None:
    """The theory of this network; None where there is none."""
    return None


@dataclass(frozen=True)
class LayersTheory:
    """Layers with a kernel each, after an input of the length q*: an MLP."""

    phi: str
    depth: int

    def critical(
        self, q_star: float | None, sigma_w: float | None, normalise_input: bool, weights: Weights
    ) -> Point:
        return critical_point.layers(self.phi, q_star, sigma_w, normalise_input)

    def predicted(self, at: Point, weights: Weights, drives: Drives) -> Prediction:
        return prediction.layers(self.phi, at.sigma_w, at.sigma_b, self.depth, weights)


@dataclass(frozen=True)
class RecurrenceTheory:
    """A vanilla recurrence; of more than one layer the state's Jacobian is a block matrix: no prediction of it."""

    phi: str
    depth: int

    def critical(
        self, q_star: float | None, sigma_w: float | None, normalise_input: bool, weights: Weights
    ) -> Point:
        return critical_point.recurrence(self.phi, q_star, sigma_w, normalise_input)

    def predicted(self, at: Point, weights: Weights, drives: Drives) -> Prediction:
        if self.depth > 1:
            return Prediction({})
        variances = drives().double().square().mean((1, 2)).cpu()
        return prediction.recurrence(self.phi, at.sigma_w, at.sigma_b, variances, weights)


@dataclass(frozen=True)
class GatesTheory:
    """An LSTM; of more than one layer there is no prediction."""

    forget_bias: float
    depth: int

    def critical(
        self, q_star: float | None, sigma_w: float | None, normalise_input: bool, weights: Weights
    ) -> Point:
        return critical_point.gates(self.forget_bias, q_star, sigma_w, normalise_input, weights)

    def predicted(self, at: Point, weights: Weights, drives: Drives) -> Prediction:
        if self.depth > 1:
            return Prediction({})
        u = drives()
        drive = u.square().mean().item()
        return prediction.gates(at.sigma_w, self.forget_bias, drive, len(u), weights)
