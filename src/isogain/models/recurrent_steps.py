"""torch's own recurrent modules as a trajectory over time, a step at a time from their own weights.

Axes: B examples, T time steps, D features a step, N units, K layers; the state is (B, K·N), of an LSTM (B, 2·K·N).
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isogain.models.base import Affine, Network


class RecurrentSteps(Network):
    """h_t of all layers of an nn.RNN or nn.GRU, and of an nn.LSTM h_t of all layers and then c_t of all; h_0 = 0.

    x is as the module takes it, (T, B, D) or with `batch_first` (B, T, D); dropout between layers is off. The readout
    is what the module gives, h_t of the top layer, (B, T, N). Raises ValueError for a bidirectional module or one with
    proj_size, TypeError for another module and for packed input.

    >>> path = RecurrentSteps(nn.GRU(3, 4, num_layers=2, batch_first=True))
    >>> [h.shape for h in path.states(torch.zeros(5, 2, 3))]
    [torch.Size([5, 8]), torch.Size([5, 8]), torch.Size([5, 8])]
    """

    sequential = True

    def __init__(self, rnn: nn.Module) -> None:
        if not isinstance(rnn, nn.RNN | nn.LSTM | nn.GRU):
            raise TypeError(
                f"over='time' takes an nn.RNN, nn.LSTM or nn.GRU, got {type(rnn).__name__}"
            )
        if rnn.bidirectional:
            raise ValueError("over='time': a bidirectional module has no single order of steps")
        if rnn.proj_size:
            raise ValueError(
                "over='time': proj_size is not supported, a projected h is no full state"
            )
        super().__init__(
            rnn.input_size, rnn.hidden_size, 1, rnn.hidden_size, rnn.num_layers, per_step=True
        )
        self.rnn = rnn

    def inputs(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"over='time' takes a tensor, padded to one length, got {type(x).__name__}"
            )
        if x.dim() != 3:
            order = "(B, T, D)" if self.rnn.batch_first else "(T, B, D)"
            raise ValueError(f"x must be {order}, got {tuple(x.shape)}")
        return x if self.rnn.batch_first else x.transpose(0, 1)

    def entry(self, x: Tensor) -> tuple[list[Affine], Tensor]:
        kinds = 2 if isinstance(self.rnn, nn.LSTM) else 1
        return [], x.new_zeros(len(x), kinds * self.depth * self.hidden)

    def steps(self, h: Tensor, x: Tensor) -> Iterator[tuple[list[Affine], Tensor]]:
        layers = [_weights(self.rnn, layer) for layer in range(self.depth)]
        for signal in x.unbind(1):
            parts, after = h.split(self.hidden, -1), []
            for layer, weights in enumerate(layers):
                state = [part.contiguous() for part in parts[layer :: self.depth]]
                after.append(self._cell(signal, state, weights))
                signal = after[-1][0]
            h = torch.cat([part for kind in zip(*after, strict=True) for part in kind], -1)
            yield [], h

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1][..., (self.depth - 1) * self.hidden : self.depth * self.hidden]

    def readout(self, hs: list[Tensor]) -> Tensor:
        """h_t of the top layer for t = 1 … T, (B, T, N)."""
        return torch.stack([self.top([h]) for h in hs[1:]], 1)

    def forward(self, x: Tensor) -> Tensor:
        """The module's own output, in its own order of axes."""
        return self.rnn(x)[0]

    def _cell(self, x: Tensor, state: list[Tensor], weights: "Weights") -> list[Tensor]:
        """One layer's [h] or [h, c] after a step: the equations of torch's documentation."""
        w, u, b, c = weights
        from_x, from_h = nn.functional.linear(x, w, b), nn.functional.linear(state[0], u, c)
        if isinstance(self.rnn, nn.LSTM):
            i, f, g, o = (from_x + from_h).chunk(4, -1)
            cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            return [o.sigmoid() * cell.tanh(), cell]
        if isinstance(self.rnn, nn.GRU):
            (r, z, n), (r_, z_, n_) = from_x.chunk(3, -1), from_h.chunk(3, -1)
            z, n = (z + z_).sigmoid(), (n + (r + r_).sigmoid() * n_).tanh()
            return [(1 - z) * n + z * state[0]]
        phi = torch.tanh if self.rnn.nonlinearity == "tanh" else torch.relu
        return [phi(from_x + from_h)]

    @property
    def output(self) -> nn.Linear:  # type: ignore[override]
        raise TypeError(
            "a recurrent module over time has no readout of its own: this needs a Network"
        )


class Weights(NamedTuple):
    """Of one layer: of its input and of its h, with their biases, None without."""

    w: Tensor
    u: Tensor
    b: Tensor | None
    c: Tensor | None


def _weights(rnn: nn.RNNBase, layer: int) -> Weights:
    w, u = (getattr(rnn, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh"))
    b, c = (getattr(rnn, f"{name}_l{layer}", None) for name in ("bias_ih", "bias_hh"))
    return Weights(w, u, b, c)
