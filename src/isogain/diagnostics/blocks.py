"""A trajectory a few examples at a time, as many as a CPU's cache holds the Jacobians of."""

from collections.abc import Iterator

from torch import Tensor

from isogain.diagnostics.step import States
from isogain.models.trajectory import Batch

ENTRIES = 2**19  # of all Jacobians at once: more fall out of a CPU's cache
FEWEST = 4  # examples at once all the same


def blocks(hs: list[Tensor], x: Batch) -> Iterator[tuple[list[Tensor], Batch]]:
    """The trajectory of a few examples at a time: ([h_0, …, h_L], x)."""
    few = block(hs[0].shape[-1])
    for i in range(0, len(x), few):
        yield States(h[i : i + few] for h in hs), x[i : i + few]


def block(n: int) -> int:
    """How many examples with a state of size n are measured at once."""
    return max(FEWEST, ENTRIES // n**2)
