"""Optimisers: torch's own, with a learning rate of their own for the kernels under study."""

from isogain.optim.adam import Adam, MatrixAdam
from isogain.optim.base import Optim, kernel_parameters, unscaled_before_step
from isogain.optim.rmsprop import RMSprop
from isogain.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "MatrixAdam",
    "Optim",
    "RMSprop",
    "kernel_parameters",
    "unscaled_before_step",
]
