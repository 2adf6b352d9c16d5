"""How far the exact constraints are off after many steps: the worst and the last gap, float32 and float64.

    python benchmarks/drift.py [N ...] [--steps 10000] [--only NAMES] [--lr 1e-3] [--gain 1.2] [--precision float32 ...]

One n × n matrix a row, Adam, and a gradient that is a normal draw at every step: nothing it could converge to. The gap
‖WᵀW/g² − I‖_F/√n is looked at in float64 after every 20th step; a learned gain is divided out as it is then.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import nn

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap
from isogain.optim import MatrixAdam
from isogain.reg.base import Regularizer, Time
from isogain.reg.projection import Projection
from isogain.reg.stiefel import Stiefel

EVERY = 20
METHODS: dict[str, Callable[..., Regularizer]] = {
    "hard": Projection,
    "hard, svd": partial(Projection, method="svd"),
    "hard, qr": partial(Projection, method="qr"),
    "manifold, newton_schulz": Stiefel,
    "manifold, polar": partial(Stiefel, retraction="polar"),
    "manifold, qr": partial(Stiefel, retraction="qr"),
    "manifold, cayley": partial(Stiefel, retraction="cayley"),
    "manifold, gain learned": lambda gain: Stiefel(gain="learned"),
}


def gaps(reg: Regularizer, n: int, dtype: torch.dtype, steps: int, lr: float) -> list[float]:
    """The gap after every 20th of `steps` noisy steps."""
    torch.manual_seed(0)
    module = nn.Module()
    module.w = nn.Parameter(orthogonal_(torch.empty(n, n, dtype=dtype)))
    reg.attach(module, "w")
    optimizer = MatrixAdam([{"params": [module.w]}, {"params": reg.scales()}], lr=lr, fused=True)
    reg.bind(optimizer)
    measured = []
    for step in range(steps):
        reg.time = Time(step)
        module.w.grad = torch.randn_like(module.w)
        with torch.no_grad():
            reg.before_step(module.w)
            optimizer.step()
            reg.after_step(module.w, optimizer.state[module.w])
            if (step + 1) % EVERY == 0:
                measured.append(_gap(reg, module.w))
    return measured


def _gap(reg: Regularizer, w: torch.Tensor) -> float:
    gain = reg.gain_of(w)
    gain = gain.double() if isinstance(gain, torch.Tensor) else gain
    return orthogonality_gap(w.double(), gain).max().item()


def main() -> None:
    """One row a method, size and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--gain", type=float, default=1.2)
    precisions = ["float32", "float64"]
    parser.add_argument("--precision", nargs="*", default=precisions, choices=precisions)
    options = parser.parse_args()
    if options.steps < EVERY:
        parser.error(
            f"--steps must be at least {EVERY}, got {options.steps}: a gap is measured every so many"
        )
    print(f"| {options.steps} steps | n | precision | worst gap | last gap |")
    print("|---|---|---|---|---|", flush=True)
    names = [m for m in METHODS if not options.only or any(o in m for o in options.only)]
    for n, name, precision in product(options.sizes, names, options.precision):
        reg = METHODS[name](gain=options.gain)
        measured = gaps(reg, n, getattr(torch, precision), options.steps, options.lr)
        print(
            f"| {name} | {n} | {precision} | {max(measured):.1e} | {measured[-1]:.1e} |", flush=True
        )


if __name__ == "__main__":
    main()
