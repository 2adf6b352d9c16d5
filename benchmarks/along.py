"""What it costs to measure along a module that is not ours: against the built-in path, and as depth grows.

    python benchmarks/along.py [--rounds 3] [--busy]

The first table measures the spectrum of our MLP of 200 layers of 400 units, and of the same layers as an nn.Sequential
of which every tanh is named. The second one is of an nn.Sequential of 100 units at four depths, where the time a layer
must not grow: no pass is taken again for a layer. --busy, for a machine that does other work too: one thread, and its
own seconds.
"""

import argparse
from collections.abc import Callable

import torch
from rounds import clock_for, interleaved, table
from torch import Tensor, nn

from isogain.diagnostics.jacobian import jacobian_spectra
from isogain.init import orthogonal_
from isogain.models.along import Along, along
from isogain.models.mlp import MLP

DEPTHS = (25, 50, 100, 200)


def same_layers(net: MLP) -> Along:
    """The states of an MLP of ours as those of an nn.Sequential with its weights."""
    layers: list[nn.Module] = [net.input, nn.Tanh()]
    for w, b in zip(net.kernel.detach(), net.bias.detach(), strict=True):
        linear = nn.Linear(*w.shape)
        linear.load_state_dict({"weight": w, "bias": b})
        layers += [linear, nn.Tanh()]
    return along(nn.Sequential(*layers), [str(i) for i in range(1, len(layers), 2)])


def network(depth: int, hidden: int, gain: float) -> MLP:
    """Layers that are `gain` times orthogonal."""
    net = MLP(28, 10, hidden=hidden, depth=depth)
    orthogonal_(net.kernel, gain)
    return net


def measured(path: MLP | Along, x: Tensor, exact: bool) -> Callable[[], None]:
    """The spectrum; prints where it did not come of the decomposition that the row is about."""

    def measure() -> None:
        if bool(jacobian_spectra(path, x).exact.all()) != exact:
            print("measured in another way than its row says")

    return measure


def main() -> None:
    """Two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", action="store_true", help="one thread, and CPU time")
    options = parser.parse_args()
    clock = clock_for(options.busy)
    torch.manual_seed(0)
    for name, gain, examples in (("plain", 1.0, 8), ("exact", 1.5, 2)):
        net, x = network(200, 400, gain), torch.randn(examples, 28)
        rows = {"built-in": net, "along": same_layers(net)}
        calls = {row: measured(path, x, name == "exact") for row, path in rows.items()}
        times = interleaved(calls, options.rounds, clock)
        print(f"\nMLP 200 × 400, {examples} examples, {name}; goal: 1.3\n")
        print(table(times, "built-in", 1, "s"), flush=True)
    x, calls = torch.randn(8, 28), {}
    for depth in DEPTHS:
        net = network(depth, 100, 1.0)
        calls[f"{depth} layers"] = measured(same_layers(net), x, False)
    times = interleaved(calls, options.rounds, clock)
    a_layer = {name: [t / int(name.split()[0]) for t in own] for name, own in times.items()}
    print("\nnn.Sequential, 100 units, 8 examples, milliseconds a layer; goal: no growth\n")
    print(table(a_layer, "25 layers", 1e-3, "ms"), flush=True)


if __name__ == "__main__":
    main()
