"""The largest eigenvalue of the Fisher by its several definitions, in units of a training step; float32.

    python benchmarks/curvature.py [--depth 32] [--hidden 256] [--batch 128] [--rounds 7] [--only NAMES]

An MLP on MNIST after 60 steps of Adam, so that its predictions are not flat. "error" is relative to the same
quantity in float64; the Monte Carlo Fisher of curvlinops draws other targets than ours, so its error is relative
to the exact Fisher, as is that of "mc, of exact". curvlinops multiplies and scipy's eigsh iterates (tolerance 1e-4).
"""

import argparse
import copy
import statistics
import warnings
from collections.abc import Callable
from functools import partial

import torch
from rounds import interleaved, ratio
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from isogain.data.mnist import MNIST
from isogain.diagnostics import curvature, fisher_eigenvalues
from isogain.diagnostics.fisher import forms
from isogain.diagnostics.gram import product
from isogain.diagnostics.lanczos import largest_eigenvalues
from isogain.init import orthogonal_
from isogain.models.mlp import MLP

Batch = tuple[Tensor, Tensor]
STEP = "training step"


def trained(depth: int, hidden: int, batches: list[Batch]) -> tuple[MLP, torch.optim.Optimizer]:
    """An orthogonal network after a step on each batch, and its optimiser at a rate of zero."""
    torch.manual_seed(0)
    net = MLP(784, 10, hidden=hidden, depth=depth)
    orthogonal_(net.kernel, 1.025)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for batch in batches:
        step(net, optimizer, batch)
    optimizer.param_groups[0]["lr"] = 0.0
    return net, optimizer


def step(net: MLP, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """Forward, backward, update."""
    optimizer.zero_grad()
    cross_entropy(net(batch[0]), batch[1]).backward()
    optimizer.step()


def ours(net: MLP, batch: Batch, kind: str, k: int = 1) -> float:
    """By our diagnostic."""
    draw = torch.Generator().manual_seed(0)
    return fisher_eigenvalues(net, *batch, k, kind, generator=draw)[0].item()


def matrix_free(net: MLP, batch: Batch) -> float:
    """By our diagnostic's other method, which large batches take."""
    rows = forms(net, *batch)
    apply = product(net, batch[0], rows)
    return largest_eigenvalues(apply, rows.flatten(0, 1), 1, 1e-5)[0].item()


def theirs(operator: type, net: MLP, batch: Batch) -> float:
    """By curvlinops and scipy."""
    weights = list(net.parameters())
    matrix = operator(net, nn.CrossEntropyLoss(), weights, [batch], check_deterministic=False)
    start = torch.randn(matrix.shape[0], generator=torch.Generator().manual_seed(3)).numpy()
    found = eigsh(matrix.to_scipy(), 1, which="LA", tol=1e-4, v0=start, return_eigenvectors=False)
    return float(found[-1])


def calls_of(
    net: MLP, optimizer: torch.optim.Optimizer, batch: Batch
) -> dict[str, tuple[Callable, str | None]]:
    """Each alternative, and the kind in float64 that it is compared with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its dependency's own use of torch
        import curvlinops
    return {
        STEP: (partial(step, net, optimizer, batch), None),
        "exact, dual": (partial(ours, net, batch, "exact"), "exact"),
        "exact, dual, top 8": (partial(ours, net, batch, "exact", 8), "exact"),
        "exact, matrix-free": (partial(matrix_free, net, batch), "exact"),
        "exact, all of curvature()": (lambda: curvature(net, *batch).eigenvalues.item(), "exact"),
        "mc": (partial(ours, net, batch, "mc"), "mc"),
        "mc, of exact": (partial(ours, net, batch, "mc"), "exact"),
        "empirical": (partial(ours, net, batch, "empirical"), "empirical"),
        "empirical, of exact": (partial(ours, net, batch, "empirical"), "exact"),
        "curvlinops GGN": (partial(theirs, curvlinops.GGNLinearOperator, net, batch), "exact"),
        "curvlinops FisherMC": (
            partial(theirs, curvlinops.FisherMCLinearOperator, net, batch),
            "exact",
        ),
        "curvlinops EF": (partial(theirs, curvlinops.EFLinearOperator, net, batch), "empirical"),
    }


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depth", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    data = MNIST(options.batch)
    data.load()
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(60), strict=False)]
    net, optimizer = trained(options.depth, options.hidden, batches)
    batch = data.probe(options.batch)
    precise, doubles = copy.deepcopy(net).double(), (batch[0].double(), batch[1])
    reference = {kind: ours(precise, doubles, kind) for kind in ("exact", "mc", "empirical")}
    calls = calls_of(net, optimizer, batch)
    if options.only:
        calls = {k: v for k, v in calls.items() if k == STEP or any(o in k for o in options.only)}
    times = interleaved({name: call for name, (call, _) in calls.items()}, options.rounds)
    print(f"\nMLP, {options.depth} layers of {options.hidden}, batch {options.batch},", end=" ")
    print(f"{torch.get_num_threads()} threads, {options.rounds} rounds\n")
    print("| | median ms | ratio to a training step | λ_max | error |\n|---|---|---|---|---|")
    for name, (call, kind) in calls.items():
        value = call()
        found = "| |" if kind is None else f"{value:.4f} | {value / reference[kind] - 1:+.1e} |"
        median = 1e3 * statistics.median(times[name])
        print(f"| {name} | {median:.1f} | {ratio(times, name, STEP):.2f} | {found}")


if __name__ == "__main__":
    main()
