"""What it costs to look: the Jacobian's spectrum, in training steps at batch 128 of the same network.

    python benchmarks/diagnostics.py [--rounds 3] [--slow] [--busy] [mlp rnn lstm]

Every row is scaled to 64 MNIST examples and taken on as many as its name says. "plain" is the float32 product, the rows
in float64 that it is compared with, and its singular values; "exact" is that and every example again in float64 by
graded QR decompositions, at a gain where every example needs it (an LSTM's state always does). The floors are the
matrix products alone, in float32, and for "exact" those in float64 with a QR decomposition after as many factors as the
conditioning allows. --busy, for a machine that does other work too: one thread, and its own seconds.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rounds import clock_for, interleaved, table
from torch import Tensor
from torch.func import jacrev, vmap
from torch.nn.functional import cross_entropy

from isogain.data.mnist import SeqMNIST
from isogain.diagnostics.blocks import block
from isogain.diagnostics.jacobian import jacobian_spectra
from isogain.init import orthogonal_
from isogain.models.base import Network
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN

EXAMPLES = 64


@dataclass
class Case:
    """A network on an order of MNIST; a gain for "plain" and one for "exact"; products a step, and examples timed."""

    build: Callable[[int, int], Network]
    order: str
    plain: float
    exact: float
    goal: int
    product: tuple[int, int, int]
    examples: int
    group: int  # factors from one QR decomposition to the next, as found at the gain for "exact"

    def net(self, gain: float, data: SeqMNIST) -> Network:
        net = self.build(data.n_in, data.length)
        for module, name in net.kernels():
            orthogonal_(getattr(module, name), gain)
        return net


CASES = {
    "mlp": Case(lambda d, t: MLP(d, 10, t, 400, 200), "rows", 1.0, 1.5, 45, (400, 400, 400), 8, 8),
    "rnn": Case(lambda d, t: RNN(d, 10, t, 128), "pixels", 0.9, 1.5, 10, (128, 128, 128), 64, 8),
    "lstm": Case(lambda d, t: LSTM(d, 10, t, 128), "pixels", 1.0, 1.0, 20, (256, 256, 128), 4, 2),
}


def training_step(net: Network, data: SeqMNIST) -> Callable[[], None]:
    """Forward, backward and fused Adam on one batch."""
    x, y = next(iter(data.train_dataloader()))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        cross_entropy(net(x), y).backward()
        optimiser.step()

    return step


def by_jacrev(net: Network, x: Tensor) -> Callable[[], object]:
    """torch.func, one example a call of the trajectory, and the singular values."""
    h = net.start(x).detach()

    def end(h: Tensor, x: Tensor) -> Tensor:
        return net.trajectory(h[None], x[None])[-1][0]

    return lambda: torch.linalg.svdvals(vmap(jacrev(end))(h, x).detach())


def row_by_row(net: Network, x: Tensor) -> Callable[[], object]:
    """One backward pass a row of the first example's Jacobian."""

    def rows() -> Tensor:
        h = net.start(x[:1]).detach().requires_grad_()
        end = net.trajectory(h, x[:1])[-1][0]
        grads = [torch.autograd.grad(value, h, retain_graph=True)[0] for value in end]
        return torch.linalg.svdvals(torch.cat(grads))

    return rows


def floor(steps: int, product: tuple[int, int, int]) -> Callable[[], None]:
    """`steps` products of a block of matrices, and nothing else."""
    m, k, n = product
    few = block(m)
    a, b, out = torch.randn(few, m, k), torch.randn(few, k, n), torch.empty(few, m, n)

    def products() -> None:
        for _ in range(steps):
            torch.bmm(a, b, out=out)

    return products


def exact_floor(steps: int, product: tuple[int, int, int], group: int) -> Callable[[], None]:
    """The same in float64 for one example, and a QR decomposition every `group` factors."""
    m, k, n = product
    a, b, c = (torch.randn(*shape, dtype=torch.float64) for shape in ((m, k), (k, n), (m, m)))

    def decompositions() -> None:
        for step in range(steps):
            a @ b
            if step % group == 0:
                torch.linalg.qr(c)

    return decompositions


def compare(name: str, rounds: int, slow: bool, clock: Callable[[], float]) -> None:
    """Print the table of one network."""
    case = CASES[name]
    data = SeqMNIST(order=case.order)
    data.load()
    x, _ = data.probe(EXAMPLES)
    net, wild = case.net(case.plain, data), case.net(case.exact, data)
    few = min(case.examples, 8)
    steps, together = len(net.trajectory(net.start(x[:1]), x[:1])) - 1, block(case.product[0])
    calls = {
        "training step": (EXAMPLES, training_step(case.net(case.plain, data), data)),
        f"plain, {case.examples}": (case.examples, plain(net, x[: case.examples])),
        f"exact, {few}": (few, exact(wild, x[:few])),
        f"products alone, {together}": (together, floor(steps, case.product)),
        "float64 products and QR alone, 1": (1, exact_floor(steps, case.product, case.group)),
    }
    if slow:
        calls["vmap(jacrev), 4"] = 4, by_jacrev(net, x[:4])
        calls["autograd row by row, 1"] = 1, row_by_row(net, x)
    times = interleaved({row: call for row, (_, call) in calls.items()}, rounds, clock)
    times = {row: [s * EXAMPLES / calls[row][0] for s in seconds] for row, seconds in times.items()}
    goals = f"plain {case.goal}, exact {6 * case.goal} training steps"
    print(f"\n{name}, {torch.get_num_threads()} threads, {EXAMPLES} examples; goals: {goals}\n")
    print(table(times, "training step", 1, "s"), flush=True)


def plain(net: Network, x: Tensor) -> Callable[[], None]:
    """The product in float32, the rows in float64 that it is compared with, and its singular values."""

    def measure() -> None:
        if jacobian_spectra(net, x).exact.any():
            print("some examples were redone exactly")

    return measure


def exact(net: Network, x: Tensor) -> Callable[[], None]:
    """What an ill-conditioned example costs in all: the plain product first, and then the exact one."""

    def measure() -> None:
        if not jacobian_spectra(net, x).exact.all():
            print("not every example was redone exactly")

    return measure


def main() -> None:
    """One table a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "networks", nargs="*", metavar="network", help="mlp, rnn, lstm; default: all"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="vmap(jacrev) and autograd too")
    parser.add_argument("--busy", action="store_true", help="one thread, and CPU time")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(CASES):
        parser.error(f"{', '.join(sorted(unknown))}: there is {', '.join(CASES)}")
    clock = clock_for(options.busy)
    for name in options.networks or CASES:
        compare(name, options.rounds, options.slow, clock)


if __name__ == "__main__":
    main()
