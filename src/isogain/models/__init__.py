"""Networks: a signal carried through layers or time steps by kernels."""

from isogain.models.base import Network
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

__all__ = [
    "LSTM",
    "MLP",
    "Network",
    "RNN",
]
