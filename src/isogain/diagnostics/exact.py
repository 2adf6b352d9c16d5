"""Singular values of Jacobians of any condition: graded QR decompositions in float64, a few examples a core.

Axes: B examples, S starts l, n state size, r rows of which the Jacobian's combinations are measured, n for all.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from isogain.diagnostics.step import pull_, scaled_factors
from isogain.linalg.graded import PROBES, Factor, Graded, probes, rotation
from isogain.linalg.graded_double import GradedDouble
from isogain.linalg.per_core import each
from isogain.models.trajectory import Batch, Trajectory

LARGEST = 2**13  # numbers of a state with dense Jacobians: half a gigabyte each in float64
ENTRIES = 2**17  # of the Jacobians that one thread works on: more fall out of its cache
SUSPECT = (
    1 / 50
)  # of the tolerance: an estimated error above it is looked into by a second decomposition
DIGITS = (
    1e-11  # nats: a group of factors may lose this over its least |R_ii|, relative to the largest
)
AGREED = 1 / 5  # of the tolerance: two decompositions that differ by more are not believed


def exact_logs(
    net: Trajectory,
    hs: list[Tensor],
    x: Batch,
    starts: Sequence[Sequence[int]],
    tolerance: float,
    rows: Tensor | None = None,
) -> Tensor:
    """log σ(∂h_L/∂h_l), descending, for every example's own l, one example after the other; (ΣS, n).

    Of a network in float64 and its trajectory `hs` of x. With orthonormal `rows` R (B, r, n) it is log σ(R ∂h_L/∂h_l),
    (ΣS, r). All of a Jacobian are NaN where any depends on more than the 31st digit of its factors.
    """
    resolved = min(DIGITS / tolerance, 1e-2)
    logs, errors = _decompositions(net, hs, x, starts, rows, resolved, seed=0)
    counts = [len(own) for own in starts]
    for i in _doubtful(errors, counts, SUSPECT * tolerance):
        one, own = slice(i, i + 1), slice(sum(counts[:i]), sum(counts[: i + 1]))
        few = [h[one] for h in hs], x[one], starts[one], None if rows is None else rows[one]
        other = _decompositions(net, *few, resolved, seed=1)[0]
        if not _agree(logs[own], other, AGREED * tolerance):
            large = hs[0].shape[-1] > LARGEST
            logs[own] = torch.nan if large else _double_logs(net, *few, AGREED * tolerance)
    return logs


@torch.no_grad()
def _double_logs(
    net: Trajectory,
    hs: list[Tensor],
    x: Batch,
    starts: Sequence[Sequence[int]],
    rows: Tensor | None,
    tolerance: float,
) -> Tensor:
    """The same for one example in arithmetic of twice the digits, and twice: NaN where two results differ; (S, r)."""
    results: list[dict[int, Tensor]] = []
    for seed in (0, 1):
        product = GradedDouble(_frame(hs[0].shape[-1], rows, 0, seed))
        results.append({})
        end = len(hs) - 1
        while end > min(starts[0]):
            begin = max(end - product.size, max(step for step in starts[0] if step < end))
            steps = range(begin, end)[::-1]
            product.absorb(partial(_factors, net, steps, hs, x, 0), len(steps))
            end = begin
            if end in starts[0]:
                results[-1][end] = product.logs()
    first, second = (torch.stack([logs[step] for step in starts[0]]) for logs in results)
    alike = (first == second) | ((first - second).abs() <= tolerance)  # equal infinities too
    return first.where(alike.all(1, keepdim=True), torch.nan)


def _doubtful(errors: Tensor, counts: list[int], most: float) -> list[int]:
    """The examples of which any start has an estimated error above `most`."""
    return [i for i, e in enumerate(errors.split(counts)) if not (e <= most).all()]


def _agree(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return torch.allclose(a, b, rtol=0, atol=tolerance)  # equal infinities too


def _decompositions(
    net: Trajectory,
    hs: list[Tensor],
    x: Batch,
    starts: Sequence[Sequence[int]],
    rows: Tensor | None,
    resolved: float,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Logarithms (ΣS, r) and estimates of their errors (ΣS,), a few examples a core."""
    n = hs[0].shape[-1]
    most = -(-len(x) // torch.get_num_threads())  # a part for every thread
    few = max(1, min(ENTRIES // n**2, most))
    alike = [list(same) for _, same in groupby(range(len(x)), key=lambda i: starts[i])]
    parts = [run[i : i + few] for run in alike for i in range(0, len(run), few)]

    def of_part(i: int) -> Tensor:
        part = slice(parts[i][0], parts[i][-1] + 1)
        base = None if rows is None else rows[part]
        products = [Graded(_frame(n, base, k, seed), resolved) for k in range(len(parts[i]))]
        return _graded_logs(net, [h[part] for h in hs], x[part], starts[part.start], products)

    logs_and_errors = torch.cat(each(of_part, len(parts)))
    return logs_and_errors[:, :-1], logs_and_errors[:, -1]


def _frame(n: int, rows: Tensor | None, example: int, seed: int) -> Tensor:
    if rows is None:
        return rotation(n, seed)
    return rows[example].mT.cpu() @ rotation(rows.shape[1], seed)


@torch.no_grad()
def _graded_logs(
    net: Trajectory, hs: list[Tensor], x: Batch, starts: Sequence[int], products: list[Graded]
) -> Tensor:
    """log σ(∂h_L/∂h_l), of the transposed factors' product, the last first, and estimated errors; (B·S, r + 1)."""
    logs_and_errors, end = {}, len(hs) - 1
    while end > min(starts):
        size = min(product.size for product in products)
        size = 1 if hs[0].shape[-1] > LARGEST else size  # without dense factors to fall back on
        begin = max(end - size, max(step for step in starts if step < end))
        _absorb(products, net, range(begin, end)[::-1], hs, x)
        end = begin
        if end in starts:
            logs_and_errors[end] = torch.stack([_logs_and_error(product) for product in products])
    return torch.stack([logs_and_errors[step] for step in starts], 1).flatten(0, 1)


def _logs_and_error(product: Graded) -> Tensor:
    return torch.cat([product.logs(), torch.tensor([product.error()], dtype=torch.float64)])


def _absorb(
    products: list[Graded], net: Trajectory, steps: range, hs: list[Tensor], x: Batch
) -> None:
    """Multiply every example's product by its factors of `steps`."""
    most = max(product.frame.shape[1] for product in products)
    rows = hs[0].new_zeros(len(x), most + PROBES, hs[0].shape[-1])  # below a product's rank zero
    for mine, product in zip(rows, products, strict=True):
        mine[: product.frame.shape[1]] = product.frame.mT
        mine[most:] = (product.frame @ probes(product.frame)).mT
    for step in steps:
        pull_(net, rows, step, hs, x)
    for i, product in enumerate(products):
        b, probed = rows[i, : product.frame.shape[1]].mT.cpu(), rows[i, most:].mT.cpu()
        product.absorb(b, probed, len(steps), partial(_factors, net, steps, hs, x, i))


def _factors(
    net: Trajectory, steps: range, hs: list[Tensor], x: Batch, example: int
) -> Iterator[Factor]:
    """The transposed factors of one example, the last first."""
    if hs[0].shape[-1] > LARGEST:
        raise torch.linalg.LinAlgError(
            f"step {steps[0]} carries some directions 1e-8 times as far as others, and its Jacobian is too large to be "
            "formed: take fewer steps, or jacobian_density"
        )
    one = slice(example, example + 1)
    hs, x = [h[one] for h in hs], x[one]
    for step in steps:
        for s, a in reversed(scaled_factors(net, step, hs, x)):
            yield s[0].cpu(), a if a is None else a.view(a.shape[-2:]).mT.cpu()


def unit_rows(h: Tensor, k: int) -> Tensor | None:
    """[I_k 0], an example each, of which `exact_logs` takes none for I: h (B, n) -> (B, k, n)."""
    n = h.shape[-1]
    return None if k == n else torch.eye(k, n, dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)


def identities(h: Tensor) -> Tensor:
    """I of the size of a state, an example each: h (B, n) -> (B, n, n)."""
    n = h.shape[-1]
    return torch.eye(n, dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
