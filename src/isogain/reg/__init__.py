"""Regularisers: what keeps a kernel near g times orthogonal, or on it, at four moments of a training step."""

from isogain.reg.base import Regularizer, Time
from isogain.reg.handle import Handle
from isogain.reg.landing import Landing
from isogain.reg.lie import Lie
from isogain.reg.manifold import Manifold
from isogain.reg.mutual_coherence import MutualCoherence
from isogain.reg.notebook import Notebook
from isogain.reg.oblique import Oblique
from isogain.reg.penalty import DoubleSoft, Penalty, Soft
from isogain.reg.projection import Projection
from isogain.reg.regularize import regularize
from isogain.reg.spectral import Spectral
from isogain.reg.srip import SRIP
from isogain.reg.stiefel import Stiefel

__all__ = [
    "DoubleSoft",
    "Handle",
    "Landing",
    "Lie",
    "Manifold",
    "MutualCoherence",
    "Notebook",
    "Oblique",
    "Penalty",
    "Projection",
    "Regularizer",
    "SRIP",
    "Soft",
    "Spectral",
    "Stiefel",
    "Time",
    "regularize",
]
