"""The price of a constraint on 12 nn.Linear(512, 512) in a plain loop: a whole step minus the free one; batch 128, SGD.

    python benchmarks/regularize.py [--layers 12] [--width 512] [--rounds 9] [--only NAMES] [--busy]

"ours, separate" is `isogain.regularize` on the nn.Linear as they are, copies included; "ours, stack" the same
regulariser on one parameter (layers, width, width). geotorch, geoopt and pogo-torch are left out where they are not
installed. Samples are drawn in turn; a cost is the median over rounds of a step minus the free step of that round,
with the range of the middle half. torch's Householder product and the exponentials take seconds a step.
"""

import argparse
import importlib
import statistics
from collections.abc import Callable
from functools import partial

import torch
from rounds import clock_for, interleaved
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from isogain.linalg import orthogonality_gap
from isogain.reg import Stiefel, regularize

BATCH, LR = 128, 1e-3


class Stacked(nn.Module):
    """The same layers with one parameter for all their weights."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack(weights(layers, width)))
        self.bias = nn.Parameter(torch.zeros(layers, width))

    def forward(self, x: Tensor) -> Tensor:
        for w, b in zip(self.weight.unbind(), self.bias.unbind(), strict=True):
            x = nn.functional.linear(x, w, b).tanh()
        return x

    def kernels(self) -> list[Tensor]:
        return list(self.weight.detach())


class Separate(nn.Module):
    """A chain of nn.Linear, as users have it."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        with torch.no_grad():
            for layer, w in zip(self.layers, weights(layers, width), strict=True):
                layer.weight.copy_(w)
                layer.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).tanh()
        return x

    def kernels(self) -> list[Tensor]:
        return [layer.weight.detach() for layer in self.layers]


def weights(layers: int, width: int) -> list[Tensor]:
    """The same orthogonal matrices for all."""
    torch.manual_seed(0)
    return [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(layers)]


class Step:
    """A training step."""

    def __init__(self, net: nn.Module, optimizer: object, width: int) -> None:
        self.net, self.optimizer = net, optimizer
        torch.manual_seed(1)
        self.x, self.y = torch.randn(2, BATCH, width)

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        (self.net(self.x) - self.y).square().mean().backward()
        self.optimizer.step()

    @torch.no_grad()
    def gap(self) -> float:
        return max(orthogonality_gap(w.double()).max().item() for w in self.net.kernels())


class Both:
    """Two optimisers that step together."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()


def free(kind: type[nn.Module], layers: int, width: int) -> Step:
    """Without a constraint."""
    net = kind(layers, width)
    return Step(net, torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9), width)


def ours(kind: type[nn.Module], layers: int, width: int) -> Step:
    """By `regularize`."""
    step = free(kind, layers, width)
    if kind is Stacked:
        regularize(step.optimizer, step.net.weight, Stiefel(), view=lambda w: w)
    else:
        regularize(step.optimizer, step.net, Stiefel(), match="*.weight")
    return step


def parametrized(constrain: Callable[[nn.Module], object], layers: int, width: int) -> Step:
    """By a parametrisation of each layer."""
    net = Separate(layers, width)
    for layer in net.layers:
        constrain(layer)
    return Step(net, torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9), width)


def by_geotorch(map: str, layer: nn.Module) -> None:
    """geotorch's constraint with one of its maps."""
    import geotorch

    w = layer.weight.detach().clone()
    geotorch.orthogonal(layer, "weight", triv=map)
    layer.weight = w


def by_geoopt(canonical: bool, layers: int, width: int) -> Step:
    """geoopt's RiemannianSGD."""
    import geoopt

    net, manifold = Separate(layers, width), geoopt.Stiefel(canonical=canonical)
    for layer in net.layers:
        layer.weight = geoopt.ManifoldParameter(layer.weight.detach(), manifold=manifold)
    return Step(net, geoopt.optim.RiemannianSGD(net.parameters(), lr=LR, momentum=0.9), width)


def by_pogo(layers: int, width: int) -> Step:
    """pogo-torch's POGO for the weights, SGD for the biases."""
    from pogo import POGO
    from pogo.base import SGD

    net = Separate(layers, width)
    biases = torch.optim.SGD([layer.bias for layer in net.layers], lr=LR, momentum=0.9)
    square = [layer.weight for layer in net.layers]
    held = POGO(
        square, SGD(momentum=0.9), lr=LR, check_size=False, flatten_fn=lambda w: w[None]
    )  # which refuses square ones
    return Step(net, Both(held, biases), width)


def builds() -> dict[str, Callable[[int, int], Step]]:
    """Everything that is compared, by name."""
    by_torch = {
        f"torch {map}": partial(
            parametrized,
            partial(orthogonal, orthogonal_map=map, use_trivialization=map != "householder"),
        )
        for map in ("cayley", "matrix_exp", "householder")
    }
    geotorch = {
        f"geotorch {map}": partial(parametrized, partial(by_geotorch, map))
        for map in ("cayley", "expm")
    }
    geoopt = {
        f"geoopt RiemannianSGD, {name}": partial(by_geoopt, name == "canonical")
        for name in ("canonical", "euclidean")
    }
    others = by_torch | geotorch | geoopt | {"pogo-torch POGO": by_pogo}
    return {
        "free, separate": partial(free, Separate),
        "free, stack": partial(free, Stacked),
        "ours, stack": partial(ours, Stacked),
        "ours, separate": partial(ours, Separate),
    } | {name: build for name, build in others.items() if is_installed(name.split()[0])}


def is_installed(library: str) -> bool:
    """Whether the library of this name can be imported."""
    try:
        importlib.import_module({"pogo-torch": "pogo"}.get(library, library))
    except ImportError:
        return False
    return True


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--busy", action="store_true", help="one thread and its own seconds")
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    clock = clock_for(options.busy)
    chosen = {
        k: v
        for k, v in builds().items()
        if not options.only or k.startswith(("free", "ours")) or any(o in k for o in options.only)
    }
    steps = {name: build(options.layers, options.width) for name, build in chosen.items()}
    times = interleaved(steps, options.rounds, clock)
    ours_costs = costs(times, "ours, separate")
    print(
        f"{options.layers} x {options.width}, {torch.get_num_threads()} threads, {options.rounds} rounds\n"
    )
    print("| | step, ms | cost, ms | cost / ours, separate | gap |\n|---|---|---|---|---|")
    for name, step in steps.items():
        cost = costs(times, name)
        ratios = sorted(a / b for a, b in zip(cost, ours_costs, strict=True))
        quarter = len(ratios) // 4
        spread = (
            f"{statistics.median(ratios):.2f} ({ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f})"
        )
        middle = 1e3 * statistics.median(times[name])
        print(
            f"| {name} | {middle:.1f} | {1e3 * statistics.median(cost):.1f} | {spread} | {step.gap():.1e} |"
        )


def costs(times: dict[str, list[float]], name: str) -> list[float]:
    """Seconds of a step minus those of the free one of its kind, round by round."""
    base = times["free, stack" if name.endswith("stack") else "free, separate"]
    return [a - b for a, b in zip(times[name], base, strict=True)]


if __name__ == "__main__":
    main()
