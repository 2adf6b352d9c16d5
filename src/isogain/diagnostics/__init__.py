"""Measurements on a network: pure functions that know nothing of training loops or files."""

from isogain.diagnostics.bound import FisherBound, fisher_bound
from isogain.diagnostics.fisher import Curvature, curvature, fisher_eigenvalues, ntk_spectrum
from isogain.diagnostics.gradients import gradient_norms
from isogain.diagnostics.jacobian import jacobian, jacobian_spectrum
from isogain.diagnostics.signals import Signals, correlations, signals
from isogain.diagnostics.weights import kernel_gaps, kernel_spectra

__all__ = [
    "Curvature",
    "FisherBound",
    "Signals",
    "correlations",
    "curvature",
    "fisher_bound",
    "fisher_eigenvalues",
    "gradient_norms",
    "jacobian",
    "jacobian_spectrum",
    "kernel_gaps",
    "kernel_spectra",
    "ntk_spectrum",
    "signals",
]
