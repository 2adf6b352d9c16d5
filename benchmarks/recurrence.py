"""Forward and backward of our RNN and LSTM against torch.nn's, same weights' shapes, batch 128, float32.

    python benchmarks/recurrence.py [--hidden 128] [--rounds 15]

"Plain loop" is `readout(trajectory(...))`, the definition that our fast path is tested equal to.
"""

import argparse
from collections.abc import Callable

import torch
from rounds import interleaved, table
from torch import Tensor, nn

from isogain.init import orthogonal_
from isogain.models.base import Network
from isogain.models.lstm import LSTM
from isogain.models.rnn import RNN

BATCH, CLASSES = 128, 10


class TorchNet(nn.Module):
    """torch.nn's recurrent module and the same linear readout as ours."""

    def __init__(self, core: nn.RNNBase) -> None:
        super().__init__()
        self.core, self.output = core, nn.Linear(core.hidden_size, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.core(x)[0][:, -1])


class PlainLoop(nn.Module):
    """The trajectory, step by step, under autograd."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.readout(self.net.trajectory(self.net.start(x), x))


def pass_of(net: nn.Module, x: Tensor) -> Callable[[], None]:
    """One forward and backward pass."""

    def both() -> None:
        net.zero_grad(set_to_none=True)
        net(x).square().mean().backward()
        if x.is_cuda:
            torch.cuda.synchronize()

    return both


def compare(steps: int, features: int, hidden: int, rounds: int, device: str) -> None:
    """Print a table for one length."""
    x = torch.rand(BATCH, steps, features, device=device)
    ours = {cls: cls(features, CLASSES, steps, hidden).to(device) for cls in (RNN, LSTM)}
    for net in ours.values():
        orthogonal_(net.recurrent)
    theirs = {
        cls: TorchNet(cls(features, hidden, batch_first=True)).to(device)
        for cls in (nn.RNN, nn.LSTM)
    }
    print(
        f"\nT = {steps}, D = {features}, hidden {hidden}, {device}, {torch.get_num_threads()} threads\n"
    )
    calls = {
        "nn.RNN": theirs[nn.RNN],
        "isogain RNN": ours[RNN],
        "isogain RNN, plain loop": PlainLoop(ours[RNN]),
    }
    passes = {name: pass_of(net, x) for name, net in calls.items()}
    print(table(interleaved(passes, rounds), "nn.RNN", 1e-3, "ms"), "\n")
    passes = {"nn.LSTM": pass_of(theirs[nn.LSTM], x), "isogain LSTM": pass_of(ours[LSTM], x)}
    print(table(interleaved(passes, rounds), "nn.LSTM", 1e-3, "ms"))


def main() -> None:
    """Rows (T = 28) and pixels (T = 784)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    for steps, features, rounds in ((28, 28, 4 * options.rounds), (784, 1, options.rounds)):
        compare(steps, features, options.hidden, rounds, options.device)


if __name__ == "__main__":
    main()
