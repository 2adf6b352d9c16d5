"""Measurements on a network: pure functions that know nothing of training loops or files."""

from isogain.diagnostics.bound import FisherBound, fisher_bound
from isogain.diagnostics.density import Density, jacobian_density
from isogain.diagnostics.extremes import jacobian_extremes
from isogain.diagnostics.fisher import Curvature, curvature, fisher_eigenvalues, ntk_spectrum
from isogain.diagnostics.gradients import (
    gradient_norms,
    gradient_ratios,
    signal_gradient_norms,
)
from isogain.diagnostics.jacobian import (
    factor_spectra,
    input_norms,
    jacobian,
    jacobian_spectra,
    jacobian_spectrum,
)
from isogain.diagnostics.matched_weights import weight_gaps, weight_shapes, weight_spectra
from isogain.diagnostics.plain_product import Spectra
from isogain.diagnostics.signals import Signals, correlations, signals
from isogain.diagnostics.weights import kernel_gaps, kernel_shapes, kernel_spectra

__all__ = [
    "Curvature",
    "Density",
    "FisherBound",
    "Signals",
    "Spectra",
    "correlations",
    "curvature",
    "factor_spectra",
    "fisher_bound",
    "fisher_eigenvalues",
    "gradient_norms",
    "gradient_ratios",
    "input_norms",
    "jacobian",
    "jacobian_density",
    "jacobian_extremes",
    "jacobian_spectra",
    "jacobian_spectrum",
    "kernel_gaps",
    "kernel_shapes",
    "kernel_spectra",
    "ntk_spectrum",
    "signal_gradient_norms",
    "signals",
    "weight_gaps",
    "weight_shapes",
    "weight_spectra",
]
