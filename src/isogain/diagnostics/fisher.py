"""Curvature of the loss on a batch: the Fisher information by its several definitions, and the tangent kernel.

Axes: B examples, C outputs, R rows an example, P parameters. With respect to the network's own parameters,
kernels included: a re-parametrised kernel counts as the kernel, not as what the optimiser moves. Nothing here
touches the network, its gradients or a generator that it was not given.

F = (1/B) Σ_b J_bᵀ H_b J_b, a mean over the batch, with J_b = ∂logits_b/∂θ and H_b = Σ_r s sᵀ, where the rows s are

    exact      H = E[∇ℓ ∇ℓᵀ] under the network's own prediction: diag(p) − ppᵀ for cross-entropy, I for squared loss
    ggn        the Hessian of ℓ by the logits, generalised Gauss-Newton: for both losses the same as exact
    mc         s = ∇ℓ at a target drawn from the prediction, one an example: unbiased, with too large a λ_max
    empirical  s = ∇ℓ at the data's targets: not a Fisher information (Kunstner, Balles and Hennig 2019)

With `per_step` the logits of an example are those of all T steps, C = T · outputs a step, and ℓ is the sum over them.
∇ℓ = p − e_y for cross-entropy, z − y for the squared loss ½‖z − y‖². Martens 2020, sections 5 to 9.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from isogain.config.ranges import between
from isogain.diagnostics.gram import (
    DUAL,
    FORMED,
    bare,
    gram,
    outputs,
    product,
    squared_norms,
)
from isogain.diagnostics.lanczos import largest_eigenvalues
from isogain.diagnostics.linearised import Linearised
from isogain.diagnostics.loss_hessian import LossFunction
from isogain.diagnostics.measured_copy import measured_copy
from isogain.diagnostics.module_arguments import Arguments, in_precision
from isogain.diagnostics.module_fisher import (
    OutputCurvature,
    largest,
    module_eigenvalues,
    module_kernel,
)
from isogain.diagnostics.output_rows import Kind, Loss, every_output, output_rows
from isogain.diagnostics.precision import at_least_single
from isogain.models.base import Network


@dataclass(frozen=True)
class Curvature:
    """What the Fisher of a batch is like; `rank` and `condition`, λ_max over the least above 0, only where all of its
    eigenvalues are known. Of a module that is no Network there is no `trace` where Lanczos is used on more than 4096
    rows, and no `condition` where a loss function that is not convex makes an eigenvalue negative.

    >>> Curvature(torch.tensor([2.0]), trace=3.0, rank=2, condition=2.0, method="dual").trace
    3.0
    """

    eigenvalues: Tensor
    trace: float | None
    rank: int | None
    condition: float | None
    method: Literal["dual", "lanczos"]


def fisher_eigenvalues(
    net: nn.Module,
    x: Arguments,
    y: Tensor,
    k: int = 1,
    kind: Kind = "exact",
    loss: Loss | LossFunction = "cross_entropy",
    generator: torch.Generator | None = None,
) -> Tensor:
    """The k largest eigenvalues of F on (x, y), descending, in float64; (k,). `generator` draws the targets of mc.

    In the network's precision with sums in float64. F = GᵀG has the eigenvalues of the R·B × R·B Gram matrix GGᵀ
    of the rows' gradients, which is formed where it is small and multiplied matrix-free by Lanczos elsewhere; the
    others of its P are 0. Raises ValueError unless 1 <= k <= P.

    Any module is measured, in eval mode and by its P parameters with `requires_grad` (of a parametrised one those that
    the optimiser moves), which `measured_copy` and `Linearised` qualify; x may be a tuple or mapping of arguments. Its
    outputs are (B, C) or (B, ..., C), rows of an example of which ℓ is the sum. A `loss` that is a function of outputs
    and targets, and the mean or sum of each example's own, has its Gauss-Newton matrix by kind="ggn", with its own
    weight of an example, or its "empirical" one; Schraudolph 2002, section 3.

    >>> from isogain.models import MLP
    >>> net, x, y = MLP(2, 3, hidden=4), torch.ones(2, 2), torch.tensor([0, 1])
    >>> values = fisher_eigenvalues(net, x, y, k=2, kind="empirical")
    >>> values.shape, bool(values[0] >= values[1] >= 0)
    (torch.Size([2]), True)
    """
    if not (isinstance(net, Network) and isinstance(x, Tensor) and isinstance(loss, str)):
        with _linearised(net, x) as model:
            h = OutputCurvature(model.z, y, kind, loss, generator)
            return largest(module_eigenvalues(model, h, k, False).values, k, model.size)
    net, x = at_least_single(net, x)
    net = bare(net)
    rows = forms(net, x, y, kind, loss, generator)
    count = min(_checked(net, k), rows.shape[0] * rows.shape[1])
    if _dual(net, rows):
        g = gram(net, x, rows)
        return _filled(largest_eigenvalues(g.matmul, g, count), k)
    tolerance = torch.finfo(rows.dtype).eps ** 0.75
    values = largest_eigenvalues(product(net, x, rows), rows.flatten(0, 1), count, tolerance)
    return _filled(values, k)


def curvature(
    net: nn.Module,
    x: Arguments,
    y: Tensor,
    k: int = 1,
    kind: Kind = "exact",
    loss: Loss | LossFunction = "cross_entropy",
    generator: torch.Generator | None = None,
) -> Curvature:
    """The k largest eigenvalues, trace, rank and condition of F as in `fisher_eigenvalues`, computed in float64.

    Zero is what is below R·B·ε times λ_max, ε = 2.2e-16.

    The largest eigenvalue lies below the trace, and the rank is at most B·(C − 1).

    >>> from isogain.models import MLP
    >>> net, x, y = MLP(2, 3, hidden=4), torch.ones(2, 2), torch.tensor([0, 1])
    >>> fisher = curvature(net, x, y)
    >>> fisher.eigenvalues.item() <= fisher.trace, fisher.rank <= 4
    (True, True)
    """
    if not (isinstance(net, Network) and isinstance(x, Tensor) and isinstance(loss, str)):
        with _linearised(net, x, torch.float64) as model:
            return _module_curvature(model, OutputCurvature(model.z, y, kind, loss, generator), k)
    net, x = bare(net, torch.float64), x.double()
    rows = forms(net, x, y, kind, loss, generator)
    count = min(_checked(net, k), rows.shape[0] * rows.shape[1])
    if not _dual(net, rows):
        top = largest_eigenvalues(product(net, x, rows), rows.flatten(0, 1), count)
        top = _filled(top, k)
        return Curvature(top, squared_norms(net, x, rows).sum().item(), None, None, "lanczos")
    values = torch.linalg.eigvalsh(gram(net, x, rows)).flip(0)
    above = values[values > len(values) * torch.finfo(values.dtype).eps * values[0]]
    condition = (above[0] / above[-1]).item() if len(above) else None
    return Curvature(_filled(values[:k], k), values.sum().item(), len(above), condition, "dual")


def ntk_spectrum(net: nn.Module, x: Arguments) -> Tensor:
    """Eigenvalues of the neural tangent kernel Θ = JJᵀ of all logits, of all steps with `per_step`, J = ∂logits/∂θ,
    descending, in float64; (B·C,).

    Those above 0 are B times the Fisher's for squared loss. Jacot, Gabriel and Hongler 2018, equation 4.

    >>> from isogain.models import MLP
    >>> net, x = MLP(2, 3, hidden=4), torch.ones(2, 2)
    >>> values = ntk_spectrum(net, x)
    >>> fisher = fisher_eigenvalues(net, x, torch.zeros(2, 3), loss="squared")
    >>> values.shape, abs(values[0].item() / (2 * fisher.item()) - 1) < 1e-4
    (torch.Size([6]), True)
    """
    if not (isinstance(net, Network) and isinstance(x, Tensor)):
        with _linearised(net, x, torch.float64) as model:
            return torch.linalg.eigvalsh(module_kernel(model)).flip(0)
    net, x = bare(net, torch.float64), x.double()
    logits = outputs(net, x)[0].detach()
    return torch.linalg.eigvalsh(gram(net, x, every_output(logits))).flip(0)


def forms(
    net: Network,
    x: Tensor,
    y: Tensor,
    kind: Kind = "exact",
    loss: Loss = "cross_entropy",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Rows s with Σ s sᵀ = H_b/B, in the network's precision; (R, B, C), with `per_step` C = T · outputs a step."""
    with torch.no_grad():
        logits = net(x).double()
    rows = output_rows(logits, y, kind, loss, generator)
    return (rows / len(x) ** 0.5).to(x)


def _checked(net: Network, k: int) -> int:
    """k, unless F has not as many eigenvalues."""
    size = sum(p.numel() for p in net.parameters())
    return int(between("k", k, 1, size + 1))


def _filled(values: Tensor, k: int) -> Tensor:
    """(k,) eigenvalues of F >= 0 from those of the Gram matrix: what is below 0 is rounding, what it lacks is 0."""
    return torch.nn.functional.pad(values.clamp_min(0), (0, k - len(values)))


def _dual(net: Network, rows: Tensor) -> bool:
    """Whether the Gram matrix of the rows is small enough to be formed."""
    n = rows.shape[0] * rows.shape[1]
    formed = n * sum(p.numel() for p in net.parameters()) if net.sequential else 0
    return n <= DUAL and formed <= FORMED


class _Unfused(nn.Module):
    """A Network by its plain definition, which can be differentiated twice."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.readout(self.net.trajectory(self.net.start(x), x))


@contextmanager
def _linearised(
    net: nn.Module, x: Arguments, dtype: torch.dtype | None = None
) -> Iterator[Linearised]:
    if isinstance(net, Network):
        net = _Unfused(bare(net))
    with measured_copy(net, dtype) as plain:
        kinds = (p.dtype for p in plain.parameters() if p.is_floating_point())
        yield Linearised(plain, in_precision(x, next(kinds)))


def _module_curvature(model: Linearised, h: OutputCurvature, k: int) -> Curvature:
    values, trace, method = module_eigenvalues(model, h, k, True)
    top = largest(values, k, model.size)
    if method == "lanczos":
        return Curvature(top, trace, None, None, method)
    sizes = values.abs().sort(descending=True).values
    above = sizes[sizes > len(sizes) * torch.finfo(values.dtype).eps * sizes[0]]
    definite = len(above) > 0 and bool(values[-1] > -above[-1])
    condition = (above[0] / above[-1]).item() if definite else None
    return Curvature(top, trace, len(above), condition, method)
