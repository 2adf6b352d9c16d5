"""Measurements on a network: pure functions that know nothing of training loops or files."""

from isogain.diagnostics.gradients import gradient_norms
from isogain.diagnostics.jacobian import jacobian, jacobian_spectrum
from isogain.diagnostics.weights import kernel_gaps, kernel_spectra

__all__ = ["gradient_norms", "jacobian", "jacobian_spectrum", "kernel_gaps", "kernel_spectra"]
