"""Initialisers: they fill kernels once, and `critical` a whole network."""

from isogain.init.initialize_network import initialize
from isogain.init.kernels import cayley_, gaussian_, glorot_, henaff_, identity_, orthogonal_

__all__ = ["cayley_", "gaussian_", "glorot_", "henaff_", "identity_", "initialize", "orthogonal_"]
