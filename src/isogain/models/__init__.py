"""Networks: a signal carried through layers or time steps by kernels."""

from isogain.models.along import Along, along
from isogain.models.base import Network
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.models.trajectory import Trajectory

__all__ = [
    "Along",
    "LSTM",
    "MLP",
    "Network",
    "RNN",
    "Trajectory",
    "along",
]
