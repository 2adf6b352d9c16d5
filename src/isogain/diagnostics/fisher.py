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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from isogain.config.ranges import between
from isogain.diagnostics.gram import bare, gram, outputs, product, squared_norms
from isogain.diagnostics.lanczos import largest_eigenvalues
from isogain.diagnostics.precision import at_least_single
from isogain.models.base import Network

Kind = Literal["exact", "ggn", "mc", "empirical"]
Loss = Literal["cross_entropy", "squared"]
DUAL = 4096  # rows up to which their Gram matrix is formed
FORMED = 2**28  # entries of gradients up to which they are formed, where the Gram matrix needs that


@dataclass(frozen=True)
class Curvature:
    """What the Fisher of a batch is like; `rank` and `condition`, λ_max over the least above 0, only where all of its
    eigenvalues are known.

    >>> Curvature(torch.tensor([2.0]), trace=3.0, rank=2, condition=2.0, method="dual").trace
    3.0
    """

    eigenvalues: Tensor
    trace: float
    rank: int | None
    condition: float | None
    method: Literal["dual", "lanczos"]


def fisher_eigenvalues(
    net: Network,
    x: Tensor,
    y: Tensor,
    k: int = 1,
    kind: Kind = "exact",
    loss: Loss = "cross_entropy",
    generator: torch.Generator | None = None,
) -> Tensor:
    """The k largest eigenvalues of F on (x, y), descending, in float64; (k,). `generator` draws the targets of mc.

    In the network's precision with sums in float64. F = GᵀG has the eigenvalues of the R·B × R·B Gram matrix GGᵀ
    of the rows' gradients, which is formed where it is small and multiplied matrix-free by Lanczos elsewhere; the
    others of its P are 0. Raises ValueError unless 1 <= k <= P.

    >>> from isogain.models import MLP
    >>> net, x, y = MLP(2, 3, hidden=4), torch.ones(2, 2), torch.tensor([0, 1])
    >>> values = fisher_eigenvalues(net, x, y, k=2, kind="empirical")
    >>> values.shape, bool(values[0] >= values[1] >= 0)
    (torch.Size([2]), True)
    """
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
    net: Network,
    x: Tensor,
    y: Tensor,
    k: int = 1,
    kind: Kind = "exact",
    loss: Loss = "cross_entropy",
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


def ntk_spectrum(net: Network, x: Tensor) -> Tensor:
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
    net, x = bare(net, torch.float64), x.double()
    logits = outputs(net, x)[0].detach()
    return torch.linalg.eigvalsh(gram(net, x, every_output(logits))).flip(0)


def softmax_factor(logits: Tensor) -> Tensor:
    """C − 1 rows s with Σ s sᵀ = diag(p) − ppᵀ, p = softmax(logits): (B, C) -> (C − 1, B, C).

    s = √p ⊙ q with q an orthonormal basis of the complement of √p, from the Householder reflection of √p to −e_C.
    """
    u = (logits.log_softmax(-1) / 2).exp()
    unit = torch.eye(u.shape[1], dtype=u.dtype, device=u.device)
    basis = unit[:-1, None] - u[:, :-1].mT[..., None] * (u + unit[-1]) / (1 + u[:, -1:])
    return u * basis


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
    if kind == "mc":
        y = _drawn(logits, loss, generator)
    if kind in ("exact", "ggn"):
        one = loss == "cross_entropy"
        rows = _per_step(softmax_factor, logits) if one else every_output(logits.flatten(1))
    elif loss == "cross_entropy":
        rows = (logits.softmax(-1) - one_hot(y, logits.shape[-1])).flatten(1)[None]
    else:
        rows = (logits - y).flatten(1)[None]
    return (rows / len(x) ** 0.5).to(x)


def _per_step(factor: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Rows of each step, 0 at the others: logits (B, C) -> (R, B, C), (B, T, C) -> (T·R, B, T·C)."""
    if logits.ndim == 2:
        return factor(logits)
    rows = torch.stack([factor(step) for step in logits.unbind(1)])  # (T, R, B, C)
    unit = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    return torch.einsum("trbc,tu->trbuc", rows, unit).flatten(0, 1).flatten(2)


def every_output(logits: Tensor) -> Tensor:
    """The unit vectors as rows, H = I; (C, B, C)."""
    unit = torch.eye(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return unit[:, None].expand(-1, len(logits), -1)


def _drawn(logits: Tensor, loss: Loss, generator: torch.Generator | None) -> Tensor:
    """Targets drawn from the prediction: a class, or the outputs plus unit Gaussian noise."""
    if generator is None:
        raise ValueError("kind='mc' draws targets: it needs a generator")
    logits, device = logits.to(generator.device), logits.device
    if loss == "cross_entropy":
        p = logits.softmax(-1)
        drawn = torch.multinomial(p.flatten(0, -2), 1, generator=generator)
        return drawn.view(p.shape[:-1]).to(device)
    noise = torch.randn(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
    return (logits + noise).to(device)


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
