"""What every network offers to initialisers, regularisers and diagnostics.

Axes: B batch, T time steps, D features a step, N hidden units, L layers.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least
from isogain.models.factors import Scaled
from isogain.theory.critical_point import Point
from isogain.theory.prediction import Prediction
from isogain.theory.spectrum import Weights


class Affine(NamedTuple):
    """One use of weights in a forward pass: z = Σ W a + b over the `inputs` a; each a is (B, k), z (B, n).

    Without inputs z is a bias alone, that of modReLU.
    """

    inputs: tuple[Tensor, ...]
    z: Tensor


class Network(nn.Module):
    """A signal h_0 → h_1 → … → h_L, read out at the end, or with `per_step` (recurrent ones) after every time step.

    `length` is T: an MLP sees the steps side by side, a recurrent network one by one (and works at
    any other T too). `sequential` networks need a time axis, (B, T, D), and share their weights over it.
    """

    sequential: bool = False

    def __init__(
        self, n_in: int, n_out: int, length: int, hidden: int, depth: int, per_step: bool = False
    ) -> None:
        super().__init__()
        self.n_in, self.n_out, self.length, self.per_step = n_in, n_out, length, per_step
        self.hidden = int(at_least("hidden", hidden, 1))
        self.depth = int(at_least("depth", depth, 1))

    def entry(self, x: Tensor) -> tuple[list[Affine], Tensor]:
        """The affine maps on the way to h_0, and h_0, (B, state size)."""
        raise unwritten(self, "entry")

    def steps(self, h: Tensor, x: Tensor) -> Iterator[tuple[list[Affine], Tensor]]:
        """The affine maps on the way to h_l, and h_l, for l = 1 … L from h = h_0: the network's plain definition."""
        raise unwritten(self, "steps")

    def top(self, hs: list[Tensor]) -> Tensor:
        """The part of a trajectory that the output layer reads; (B, N)."""
        raise unwritten(self, "top")

    def relative_slope(self, z: Tensor) -> Tensor:
        """φ'(z) over its largest value, of `preactivations` z (B, G, N)."""
        raise unwritten(self, "relative_slope")

    def start(self, x: Tensor) -> Tensor:
        """h_0, the state that the trajectory begins with; (B, state size)."""
        return self.entry(x)[1]

    def trajectory(self, h: Tensor, x: Tensor) -> list[Tensor]:
        """[h_0, …, h_L] from h = h_0, which diagnostics differentiate."""
        return [h, *(state for _, state in self.steps(h, x))]

    def preactivations(self, h: Tensor, x: Tensor) -> list[Tensor]:
        """[z_1, …, z_L], to which each step applies its non-linearities; (B, G, N) with a row for each of
        its matrices: layers, and within them an LSTM's gates.
        """
        return [
            torch.cat([m.z.unflatten(-1, (-1, self.hidden)) for m in maps if m.inputs], 1)
            for maps, _ in self.steps(h, x)
        ]

    def readout(self, hs: list[Tensor]) -> Tensor:
        """Logits from a trajectory; (B, n_out), or (B, T, n_out) with `per_step`."""
        if self.per_step:
            return self.output(torch.stack([self.top([h]) for h in hs[1:]], 1))
        return self.output(self.top(hs))

    def forward(self, x: Tensor) -> Tensor:
        """Logits by the fastest path; equals readout(trajectory(start(x), x)) in value and gradient."""
        return self.readout(self.trajectory(self.start(x), x))

    @torch.no_grad()
    def pull_(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        """R <- R ∂h_{l+1}/∂h_l at l = `step` of the trajectory `hs` of x, an example each; contiguous (B, m, n).

        R may have a lower precision than network, `hs` and x: slopes come from theirs. By autograd where a network
        has no formula of its own: this is the definition.
        """
        h, end = self._step_from(step, hs, x)
        return rows.copy_(_backward(end, h, rows.to(end)))

    @torch.no_grad()
    def push(self, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        """∂h_{l+1}/∂h_l v at l = `step`: (B, n) -> (B, n), by autograd where a network has no formula of its own."""
        h, end = self._step_from(step, hs, x)
        u = torch.zeros_like(end, requires_grad=True)
        with torch.enable_grad():
            pulled = torch.autograd.grad(end, h, u, create_graph=True)[0]
        return torch.autograd.grad(pulled, u, v)[0]

    @torch.no_grad()
    def scaled_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        """∂h_{l+1}/∂h_l at l = `step`, as a product of which the first is applied first.

        A slope outside the precision's range is the logarithm of a row's scale, where a network has a formula.
        """
        h = hs[step]
        unit = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
        return [Scaled(torch.zeros_like(h), self.pull_(unit, step, hs, x))]

    @torch.no_grad()
    def scaled_input_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        """∂h_{l+1}/∂x_{l+1} of a sequential network in the same way; the first factor is (B, n, D) or (n, D)."""
        h = hs[step]
        unit = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
        return [Scaled(torch.zeros_like(h), self.pull_input(unit, step, hs, x))]

    @torch.no_grad()
    def pull_input(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        """R ∂h_{l+1}/∂x_{l+1} of a sequential network, R kept: (B, m, n) -> (B, m, D)."""
        with torch.enable_grad():
            now = x[:, step : step + 1].detach().requires_grad_()
            end = self.trajectory(hs[step].detach(), now)[-1]
        return _backward(end, now, rows.to(end)).squeeze(-2).to(rows)

    @torch.enable_grad()
    def _step_from(self, step: int, hs: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        """h_l and h_{l+1}, in one graph."""
        if self.sequential:
            h = hs[step].detach().requires_grad_()
            return h, self.trajectory(h, x[:, step : step + 1])[-1]
        h, end = self.trajectory(hs[0].detach().requires_grad_(), x)[step : step + 2]
        return h, end

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        """The matrices under study, as (module, parameter name); each parameter is (..., n, k)."""
        raise unwritten(self, "kernels")

    def biases(self) -> list[Tensor]:
        """The biases that mean-field theory draws: those of hidden units, but for an LSTM's, whose gates differ."""
        return []

    def entries(self, x: Tensor) -> Iterator[tuple[nn.Linear, Tensor]]:
        """The maps that are no kernels on the way to hidden units, each with all that it reads on the inputs x,
        (..., k), computed when it is asked for: a map may be changed before the next is taken.
        """
        for layer, entry in enumerate(self.input):
            uses = [[m for m in maps if m.inputs] for maps, _ in self.steps(self.start(x), x)]
            yield entry, torch.stack([maps[layer].inputs[0] for maps in uses])

    def drive(self, x: Tensor) -> float:
        """E[(U x)²] over units and the inputs x: what the first of `entries` adds to a pre-activation's variance."""
        entry, signals = next(self.entries(x))
        return nn.functional.linear(signals, entry.weight).square().mean().item()

    def critical(
        self,
        q_star: float | None,
        sigma_w: float | None,
        normalise_input: bool,
        weights: Weights,
    ) -> Point:
        """The network's point on the critical line, by q* or σ_w; raises ValueError where there is none."""
        raise ValueError(f"there is no mean-field theory of {type(self).__name__}")

    def predicted(self, at: Point, weights: Weights, x: Tensor) -> Prediction:
        """What theory says of this network at initialisation and on the inputs x; nothing by default."""
        return Prediction({})

    def named_kernels(self) -> Iterator[tuple[str, Tensor]]:
        """The kernels under names that are theirs alone: the module's path and the parameter's name."""
        paths = {module: path for path, module in self.named_modules()}
        for module, name in self.kernels():
            yield "/".join([*filter(None, paths[module].split(".")), name]), getattr(module, name)

    def labels(self, name: str, w: Tensor) -> list[str]:
        """One label a matrix of the kernel `w` called `name`, in row-major order of its leading axes."""
        places = product(*(range(n) for n in w.shape[:-2]))
        return ["/".join([name, *(f"{i:03d}" for i in place)]) for place in places]


def _backward(end: Tensor, start: Tensor, rows: Tensor) -> Tensor:
    """Each of the m rows R (B, m, n) carried from `end` (B, n) to `start` (B, ...); (B, m, ...)."""
    grads = torch.autograd.grad(end, start, rows.transpose(0, 1), is_grads_batched=True)
    return grads[0].transpose(0, 1)
