"""What mean-field theory predicts of signal and Jacobian: scalars and callables, in float64, no networks."""

from isogain.theory.law import Spectrum
from isogain.theory.meanfield import (
    c_star,
    chi,
    correlation_map,
    correlation_slope,
    critical,
    critical_q,
    depth_scales,
    length_map,
    mu,
    phase,
    phase_diagram,
    q_star,
)
from isogain.theory.spectrum import s2_max

__all__ = [
    "Spectrum",
    "c_star",
    "chi",
    "correlation_map",
    "correlation_slope",
    "critical",
    "critical_q",
    "depth_scales",
    "length_map",
    "mu",
    "phase",
    "phase_diagram",
    "q_star",
    "s2_max",
]
