"""Batches by indexing tensors that are already on the device; no workers, no per-item Python."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


class Batches:
    """Every example once an epoch, in an order that depends on (seed, epoch) alone.

    `drawn` counts the batches handed out since the start of training and is the whole state:
    restored, the next batch is the one that would have come. `seed=None` keeps the examples in
    order and restarts at every `iter`. `view` turns stored examples (uint8, say) into what the
    network reads, a batch at a time.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        size: int,
        view: Callable[[Tensor], Tensor],
        seed: int | None = None,
    ) -> None:
        self.x, self.y, self.size, self.view, self.seed = x, y, size, view, seed
        self.drawn = 0
        self._epoch, self._order = -1, torch.arange(len(y), device=y.device)

    def __len__(self) -> int:
        return -(-len(self.y) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        if self.seed is None:
            self.drawn = 0
        for _ in range(len(self)):
            epoch, i = divmod(self.drawn, len(self))
            rows = self._rows(epoch)[i * self.size : (i + 1) * self.size]
            self.drawn += 1
            yield self.view(self.x.index_select(0, rows)), self.y.index_select(0, rows)

    def state_dict(self) -> dict[str, int]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.drawn = state["drawn"]

    def _rows(self, epoch: int) -> Tensor:
        if self.seed is not None and epoch != self._epoch:
            order = torch.Generator().manual_seed(
                self.seed * 1_000_003 + epoch
            )  # a CPU's draw on every device
            self._order = torch.randperm(len(self.y), generator=order).to(self.y.device)
            self._epoch = epoch
        return self._order
