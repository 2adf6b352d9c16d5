"""Isometry and gain: what orthogonal weights do to signal, gradients, curvature and accuracy."""

from typing import TYPE_CHECKING

from isogain.lazy import lazy_names

if TYPE_CHECKING:
    from isogain import testing as testing
    from isogain.analysis.statistics import runs as runs
    from isogain.diagnostics import fisher_eigenvalues as fisher_eigenvalues
    from isogain.diagnostics import gradient_norms as gradient_norms
    from isogain.diagnostics import jacobian_density as jacobian_density
    from isogain.diagnostics import jacobian_extremes as jacobian_extremes
    from isogain.diagnostics import jacobian_spectrum as jacobian_spectrum
    from isogain.init import cayley_ as cayley_
    from isogain.init import gaussian_ as gaussian_
    from isogain.init import glorot_ as glorot_
    from isogain.init import henaff_ as henaff_
    from isogain.init import identity_ as identity_
    from isogain.init import initialize as initialize
    from isogain.init import orthogonal_ as orthogonal_
    from isogain.linalg import orthogonality_gap as orthogonality_gap
    from isogain.linalg import polar as polar
    from isogain.models import LSTM as LSTM
    from isogain.models import MLP as MLP
    from isogain.models import RNN as RNN
    from isogain.models import along as along
    from isogain.reg import SRIP as SRIP
    from isogain.reg import DoubleSoft as DoubleSoft
    from isogain.reg import Handle as Handle
    from isogain.reg import Landing as Landing
    from isogain.reg import Lie as Lie
    from isogain.reg import MutualCoherence as MutualCoherence
    from isogain.reg import Oblique as Oblique
    from isogain.reg import Projection as Projection
    from isogain.reg import Regularizer as Regularizer
    from isogain.reg import Soft as Soft
    from isogain.reg import Spectral as Spectral
    from isogain.reg import Stiefel as Stiefel
    from isogain.reg import regularize as regularize

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "analysis.statistics": ["runs"],
        "diagnostics": [
            *["fisher_eigenvalues", "gradient_norms"],
            *["jacobian_density", "jacobian_extremes", "jacobian_spectrum"],
        ],
        "init": [
            *["cayley_", "gaussian_", "glorot_", "henaff_", "identity_", "initialize"],
            "orthogonal_",
        ],
        "linalg": ["orthogonality_gap", "polar"],
        "models": ["LSTM", "MLP", "RNN", "along"],
        "reg": [
            *["DoubleSoft", "Handle", "Landing", "Lie", "MutualCoherence", "Oblique", "Projection"],
            *["Regularizer", "SRIP", "Soft", "Spectral", "Stiefel", "regularize"],
        ],
    },
    rooms=["testing"],
)
