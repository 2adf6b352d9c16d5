"""Where `init=critical` begins: the critical point of each kind of network, by q* or by σ_w.

`drive` is the variance that the input's weights are to give to a pre-activation; None leaves them as they are.
With neither q* nor σ_w, q* is 1/64, one of Sokół and Park's 2018; ReLU and linear networks have no scale of their
own: every q* is critical, σ_w alone is given by χ = 1, and q* is no more than the input's.
"""

from typing import NamedTuple

from isogain.theory import meanfield
from isogain.theory import recurrent as rnn
from isogain.theory.gaussian import Phi, named
from isogain.theory.spectrum import Weights

Q_STAR = 1 / 64
SCALE_FREE = ("linear", "relu")
STEPS = 32  # of an LSTM, after which its gates' statistics are taken


class Point(NamedTuple):
    """σ_w, σ_b and the input's drive."""

    sigma_w: float
    sigma_b: float = 0.0
    drive: float | None = None


def layers(phi: Phi, q_star: float | None, sigma_w: float | None, normalise_input: bool) -> Point:
    """χ = 1 at q*, of layers with a kernel each; the input brings q* − σ_b², and the first bias the rest.

    Pennington, Schoenholz and Ganguli 2017.
    """
    q = _length(phi, q_star, sigma_w, normalise_input)
    w, b = _line(phi, q)
    return Point(w, b, q - b**2 if normalise_input else None)


def recurrence(
    phi: str, q_star: float | None, sigma_w: float | None, normalise_input: bool
) -> Point:
    """χ = 1 at the q* of a recurrence under its input, E[(U x_t)²] + σ_b² = q* − σ_w² E[φ²].

    A normalised input takes all of that, and biases are 0; otherwise it comes on top of the biases. Chen,
    Pennington and Schoenholz 2018.
    """
    q = _length(phi, q_star, sigma_w, normalise_input)
    w, b = _line(phi, q)
    if normalise_input and b == 0:
        raise ValueError(f"{phi} leaves a recurrence no room for an input: normalise_input=false")
    drive = b**2 if normalise_input else 0.0
    return Point(w, rnn.critical(phi, q, drive)[1], drive or None)


def gates(
    forget_bias: float,
    q_star: float | None,
    sigma_w: float | None,
    normalise_input: bool,
    weights: Weights,
) -> Point:
    """σ_w at which one step of an LSTM has a mean squared singular value of 1; q* is its input's drive of a gate."""
    if sigma_w is not None:
        raise ValueError("an LSTM's sigma_w follows from model.forget_bias and q_star: set these")
    if not normalise_input:
        raise ValueError("an LSTM's sigma_w depends on its input's scale: normalise_input=true")
    drive = Q_STAR if q_star is None else q_star
    return Point(rnn.lstm_critical(forget_bias, drive, STEPS, weights), drive=drive)


def _length(phi: Phi, q_star: float | None, sigma_w: float | None, normalise_input: bool) -> float:
    """q* as it is given, or from σ_w."""
    if phi == "modrelu":
        raise ValueError("there is no mean-field theory of modrelu: its biases differ by unit")
    if phi in SCALE_FREE:
        only = float(meanfield.critical(phi, 1.0)[0])
        if sigma_w is not None and abs(sigma_w / only - 1) > 1e-6:
            raise ValueError(f"sigma_w must be {only:.8g} with {named(phi)}, got {sigma_w:g}")
        if q_star is not None and not normalise_input:
            raise ValueError(
                f"q_star scales the input alone with {named(phi)}: normalise_input=true"
            )
        return 1.0 if q_star is None else q_star
    if sigma_w is None:
        return Q_STAR if q_star is None else q_star
    q = float(meanfield.critical_q(phi, sigma_w))
    if q == 0:
        raise ValueError(f"sigma_w={sigma_w:g} with {named(phi)} is critical at q_star = 0 alone")
    return q


def _line(phi: Phi, q: float) -> tuple[float, float]:
    """σ_w and σ_b at q* on the critical line."""
    if not q > 0:
        raise ValueError(f"q_star must be a finite number > 0, got {q:g}")
    sigma_w, sigma_b = map(float, meanfield.critical(phi, q))
    return sigma_w, sigma_b
