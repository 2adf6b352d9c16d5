"""Measurements on a network: pure functions that know nothing of training loops or files."""

from isogain.diagnostics.extremes import jacobian_extremes
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
from isogain.diagnostics.weights import kernel_gaps, kernel_shapes, kernel_spectra

__all__ = [
    "factor_spectra",
    "gradient_norms",
    "gradient_ratios",
    "input_norms",
    "jacobian",
    "jacobian_extremes",
    "jacobian_spectra",
    "jacobian_spectrum",
    "kernel_gaps",
    "kernel_shapes",
    "kernel_spectra",
    "signal_gradient_norms",
]
