"""Callbacks: when to measure, on which batch, under which name; the numbers come from `diagnostics`."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "base": ["Diagnostic", "Every"],
        "checkpointing": ["Checkpoints"],
        "curvature": ["Curvature", "FisherCurvature"],
        "factors": ["FactorSpectrum"],
        "gradients": ["GradientNorms", "SignalGradients"],
        "jacobian": ["JacobianSpectrum"],
        "learning_time": ["LearningTime"],
        "progress": ["Progress"],
        "regularize_callback": ["Regularize"],
        "save_on_signal": ["SaveOnWarning"],
        "signals": ["SignalStatistics"],
        "theory": ["TheoryPrediction"],
        "weights": ["OrthogonalityGap", "WeightSpectrum"],
    },
)
