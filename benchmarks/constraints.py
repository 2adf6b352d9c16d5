"""A whole training step with each constraint, in units of the step without one; batch 128, Adam, float32.

    python benchmarks/constraints.py [rnn:HIDDENxT | mlp:LAYERSxWIDTH ...] [--rounds 7] [--only NAMES] [--lr 1e-4]

One table a workload. "gap" is the largest ‖WᵀW/g² − I‖_F/√n after the last step, "none" the least time of the
step without constraint beside it, "floor" the ratio that the matrix products alone imply: that step, plus
products · 2n³ at the speed of torch.bmm on the same stack in the same run, in bfloat16 where the constraints take
that; a symmetric product counts as the 5/8 of one that it needs, hard as three products (it takes four where a step is
large), manifold without its correction in every 32nd step. geoopt, torch's parametrizations and geotorch train the
same network with the same batches; geotorch is left out where it is not installed. A sample is four steps; samples are
drawn in turn, round after round.
"""

import argparse
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import geoopt
import torch
from rounds import interleaved, ratio, seconds
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.parametrize import cached

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap, pieces
from isogain.linalg.bfloat16 import pays
from isogain.models.base import Network
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.optim import Adam, kernel_parameters
from isogain.reg.base import Regularizer, Time
from isogain.reg.landing import Landing
from isogain.reg.lie import Lie
from isogain.reg.mutual_coherence import MutualCoherence
from isogain.reg.oblique import Oblique
from isogain.reg.penalty import Soft
from isogain.reg.projection import Projection
from isogain.reg.spectral import Spectral
from isogain.reg.srip import SRIP
from isogain.reg.stiefel import Stiefel

BATCH, CLASSES, PIXELS = 128, 10, 784
EVERY = 4  # steps a sample, so that every fourth one is in each
WORKLOADS = ["rnn:128x28", "rnn:256x28", "rnn:512x28", "rnn:128x784", "mlp:32x256", "mlp:200x400"]
HALF = 5 / 8  # of a product, where the result is symmetric
OURS: dict[
    str, tuple[Callable[[], Regularizer], tuple[float, int] | None]
] = {  # and n×n×n products a matrix, exact and possibly rough ones, if they are fixed
    "none": (Regularizer, (0, 0)),
    "soft, gain": (Soft, (HALF + 1, 0)),
    "soft, gain, every 4": (partial(Soft, every=4), None),
    "mc": (MutualCoherence, (HALF, 0)),
    "srip": (SRIP, (0, 0)),
    "hard": (Projection, (HALF + 1, 1)),
    "hard, tolerance 1e-4": (partial(Projection, tolerance=1e-4), (HALF + 1, 0)),
    "hard, every 4": (partial(Projection, every=4), None),
    "hard, svd": (partial(Projection, method="svd"), None),
    "manifold": (Stiefel, (2, 1)),
    "manifold, adam scalar": (partial(Stiefel, adam="scalar"), (2, 1)),
    "manifold, gain learned": (partial(Stiefel, gain="learned"), (2, 1)),
    "oblique": (Oblique, (0, 0)),
    "landing": (Landing, (2 * HALF + 4, 0)),
    "spectral": (Spectral, None),
    "cayley": (partial(Lie, map="cayley"), None),
    "exp": (partial(Lie, map="exp"), None),
}


@dataclass
class Workload:
    """A network's shape and the input it reads."""

    kind: str
    depth: int
    hidden: int
    steps: int

    @classmethod
    def parsed(cls, text: str) -> "Workload":
        kind, _, sizes = text.partition(":")
        first, second = map(int, sizes.split("x"))
        return cls("mlp", first, second, 1) if kind == "mlp" else cls("rnn", 1, first, second)

    def __str__(self) -> str:
        if self.kind == "mlp":
            return f"MLP, {self.depth} layers of {self.hidden}"
        return f"RNN, {self.hidden} units, T = {self.steps}"

    def network(self) -> Network:
        torch.manual_seed(0)
        features = PIXELS // self.steps
        if self.kind == "mlp":
            net: Network = MLP(features, CLASSES, self.steps, self.hidden, self.depth)
        else:
            net = RNN(features, CLASSES, self.steps, self.hidden)
        for module, name in net.kernels():
            orthogonal_(getattr(module, name))
        return net

    def batch(self) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        x = torch.rand(BATCH, self.steps, PIXELS // self.steps)
        return x, torch.randint(CLASSES, (BATCH,))


class Ours:
    """A training step as the learner does it."""

    def __init__(self, work: Workload, reg: Regularizer, lr: float) -> None:
        self.net, self.reg, self.step = work.network(), reg, 0
        self.x, self.y = work.batch()
        for module, name in self.net.kernels():
            reg.attach(module, name)
        self.optimizer = Adam(lr=lr)(self.net, reg)
        reg.bind(self.optimizer)

    def __call__(self) -> None:
        for _ in range(EVERY):
            self._step()

    def _step(self) -> None:
        self.reg.time = Time(self.step, 0.0, 0.0)
        self.step += 1
        self.optimizer.zero_grad()
        with cached():
            loss = cross_entropy(self.net(self.x), self.y)
        loss.backward()
        with torch.no_grad():
            kernels = list(kernel_parameters(self.net))
            for w in kernels:
                self.reg.before_step(w)
            self.optimizer.step()
            for w in kernels:
                self.reg.after_step(w, self.optimizer.state.get(w, {}))

    @torch.no_grad()
    def gap(self) -> float:
        return max(self._gaps())

    def _gaps(self) -> Iterator[float]:
        for module, name in self.net.kernels():
            w = getattr(module, name)
            gain = self.reg.gain_of(w)
            yield orthogonality_gap(w.double(), 1.0 if gain is None else gain).max().item()


class Theirs:
    """The same network with a list of matrices for its kernel, which a library keeps orthogonal."""

    def __init__(
        self, work: Workload, lr: float, kind: Callable[[Tensor], tuple[nn.Module, bool]]
    ) -> None:
        self.net = work.network()
        self.x, self.y = work.batch()
        self.module, self.name = next(iter(self.net.kernels()))
        stack = self.module._parameters.pop(self.name)
        self.kernels = nn.ModuleList(kind(w) for w in stack.detach())
        parameters = [*self.net.parameters(), *self.kernels.parameters()]
        manifold = any(isinstance(p, geoopt.ManifoldParameter) for p in parameters)
        self.optimizer = (
            geoopt.optim.RiemannianAdam(parameters, lr=lr)
            if manifold
            else torch.optim.Adam(parameters, lr=lr, fused=True)
        )

    def __call__(self) -> None:
        for _ in range(EVERY):
            self._step()

    def _step(self) -> None:
        self.optimizer.zero_grad()
        setattr(self.module, self.name, [kernel.weight for kernel in self.kernels])
        if isinstance(self.net, MLP):
            loss = cross_entropy(self._mlp(), self.y)
        else:
            loss = cross_entropy(self.net(self.x), self.y)
        loss.backward()
        self.optimizer.step()

    def _mlp(self) -> Tensor:
        h = self.net.start(self.x)
        for w, b in zip(self.net.kernel, self.net.bias.unbind(), strict=True):
            h = self.net.phi(nn.functional.linear(h, w, b))
        return self.net.output(h)

    @torch.no_grad()
    def gap(self) -> float:
        return max(orthogonality_gap(kernel.weight.double()).item() for kernel in self.kernels)


class Held(nn.Module):
    """A matrix under the name that parametrizations want."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(w.clone())


def by_geoopt(w: Tensor, canonical: bool) -> nn.Module:
    """A matrix on geoopt's Stiefel manifold."""
    held = nn.Module()
    manifold = geoopt.Stiefel(canonical=canonical)
    held.weight = geoopt.ManifoldParameter(w.clone(), manifold=manifold)
    return held


def by_torch(w: Tensor, map: str) -> nn.Module:
    """A matrix under torch's parametrization; Householder's has no base point."""
    return orthogonal(Held(w), orthogonal_map=map, use_trivialization=map != "householder")


def libraries() -> dict[str, Callable[[Tensor], nn.Module]]:
    """What people use today, by name."""
    found = {
        "geoopt RiemannianAdam, canonical": partial(by_geoopt, canonical=True),
        "geoopt RiemannianAdam, euclidean": partial(by_geoopt, canonical=False),
        "torch cayley": partial(by_torch, map="cayley"),
        "torch matrix_exp": partial(by_torch, map="matrix_exp"),
        "torch householder": partial(by_torch, map="householder"),
    }
    try:
        import geotorch
    except ImportError:
        return found

    def by_geotorch(w: Tensor) -> nn.Module:
        held = Held(w)
        geotorch.orthogonal(held, "weight")
        held.weight = w
        return held

    return found | {"geotorch": by_geotorch}


def product_seconds(work: Workload) -> tuple[float, float]:
    """Least time of one stacked n×n×n product, in pieces as the constraints do it, and of one that may be rough.

    That is a symmetric one, or one in bfloat16 where the constraints take it.
    """
    stack = torch.randn(work.depth, work.hidden, work.hidden)
    exact = least_seconds(stack)
    return exact, least_seconds(stack.bfloat16()) if pays(next(pieces(stack))[0]) else HALF * exact


def least_seconds(stack: Tensor) -> float:
    """Of its square, piece by piece."""
    out = torch.empty_like(stack)

    def multiply() -> None:
        for a, o in pieces(stack, out):
            torch.bmm(a, a, out=o)

    return min(seconds(multiply) for _ in range(30))


def compare(work: Workload, rounds: int, lr: float, only: list[str]) -> None:
    """Print the table of one workload; a few alternatives at a time beside the plain step, to bound memory."""
    exact, rough = product_seconds(work)
    builds: dict[str, Callable] = {
        name: partial(lambda reg: Ours(work, reg(), lr), reg) for name, (reg, _) in OURS.items()
    }
    for name, kind in libraries().items():
        if not (
            name == "torch householder" and work.depth * work.hidden > 10_000
        ):  # minutes a step
            builds[name] = partial(Theirs, work, lr, kind)
    if only:
        builds = {k: v for k, v in builds.items() if k == "none" or any(o in k for o in only)}
    print(f"\n{work}, {torch.get_num_threads()} threads, Adam {lr:g}, {rounds} rounds\n")
    print("| | step / none | floor | gap | none, ms |\n|---|---|---|---|---|", flush=True)
    names = [name for name in builds if name != "none"]
    for name in names:
        steps = {"none": builds["none"](), name: builds[name]()}
        times = interleaved(steps, rounds)
        base = min(times["none"]) / EVERY
        count = OURS[name][1] if name in OURS else None
        floor = ""
        if count is not None:
            floor = f"{1 + (count[0] * exact + count[1] * rough) / base:.2f}"
        print(
            f"| {name} | {ratio(times, name, 'none'):.2f} | {floor} | {steps[name].gap():.1e} | {1e3 * base:.1f} |",
            flush=True,
        )
        del steps
        gc.collect()


def main() -> None:
    """One table a workload."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", default=WORKLOADS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    for text in options.workloads:
        compare(Workload.parsed(text), options.rounds, options.lr, options.only)


if __name__ == "__main__":
    main()
