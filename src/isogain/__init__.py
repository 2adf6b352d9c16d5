"""Isometry and gain: what orthogonal weights do to signal, gradients, curvature and accuracy."""

__version__ = "0.1.0"
