"""Batches made on the device, by indexing tensors or by drawing afresh; no workers, no per-item Python."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from isogain.config.errors import unwritten

Batch = tuple[Tensor, Tensor]
View = Callable[[Tensor], Tensor]


class Stream:
    """Batches without end, `len` of them an epoch; the i-th depends on the seed and i alone.

    `drawn` counts the batches handed out since the start of training and is the whole state:
    restored, the next batch is the one that would have come. Of `ranks` processes that train together each has
    every `ranks`-th example of batches that are as many times larger.
    """

    examples: int  # an epoch, of all ranks
    size: int  # of a batch, of one rank
    anew = False  # whether every `iter` begins with batch 0
    rank, ranks = 0, 1

    def __init__(self) -> None:
        self.drawn = 0

    def batch(self, i: int) -> Batch:
        """The i-th batch since the start of training."""
        raise unwritten(self, "batch")

    def share(self, rank: int, ranks: int) -> None:
        """From now on be the batches of one of `ranks` processes."""
        self.rank, self.ranks = rank, ranks

    def __len__(self) -> int:
        return -(-self.examples // (self.size * self.ranks))

    def __iter__(self) -> Iterator[Batch]:
        if self.anew:
            self.drawn = 0
        for _ in range(len(self)):
            self.drawn += 1
            yield self.batch(self.drawn - 1)

    def state_dict(self) -> dict[str, int]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.drawn = state["drawn"]


class Batches(Stream):
    """Every example once an epoch, in an order that depends on (seed, epoch) alone.

    Ranks that train have as many examples each: what is left over is left out of an epoch.
    `seed=None` keeps the examples in order and restarts at every `iter`. `view` turns stored
    examples (uint8, say) into what the network reads, a batch at a time.
    """

    def __init__(
        self, x: Tensor, y: Tensor, size: int, view: View, seed: int | None = None
    ) -> None:
        super().__init__()
        self.x, self.y, self.size, self.view, self.seed = x, y, size, view, seed
        self.examples, self.anew = len(y), seed is None
        self._epoch = -1  # that self._rows is of

    def __len__(self) -> int:
        return -(-self._own // self.size)

    def share(self, rank: int, ranks: int) -> None:
        super().share(rank, ranks)
        self._epoch = -1

    def batch(self, i: int) -> Batch:
        epoch, i = divmod(i, len(self))
        if epoch != self._epoch:
            self._rows = self._order(epoch)[self.rank :: self.ranks][: self._own]
            self._epoch = epoch
        rows = self._rows[i * self.size : (i + 1) * self.size]
        return self.view(self.x.index_select(0, rows)), self.y.index_select(0, rows)

    @property
    def _own(self) -> int:
        """This rank's examples an epoch."""
        left_over = 0 if self.seed is not None else self.rank < self.examples % self.ranks
        return self.examples // self.ranks + left_over

    def _order(self, epoch: int) -> Tensor:
        if self.seed is None:
            return torch.arange(len(self.y), device=self.y.device)
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)  # a CPU's on any device
        return torch.randperm(len(self.y), generator=draw).to(self.y.device)


class Draws(Stream):
    """Examples that come once and never again: `draw(n, generator)` gives n of them as they would be stored.

    Drawn on `device` by its own generator, so a CPU and a GPU see other examples.
    """

    def __init__(
        self,
        draw: Callable[[int, torch.Generator], Batch],
        size: int,
        batches: int,
        view: View,
        seed: int,
        device: torch.device | str,
    ) -> None:
        super().__init__()
        self.draw, self.view, self.size, self.seed = draw, view, size, seed
        self.batches = batches
        self.generator = torch.Generator(device)

    @property
    def examples(self) -> int:
        return self.batches * self.size * self.ranks

    def __len__(self) -> int:
        return self.batches

    def batch(self, i: int) -> Batch:
        draw = self.generator.manual_seed(training_seed(self.seed, i))
        x, y = self.draw(self.size * self.ranks, draw)
        return self.view(x[self.rank :: self.ranks]), y[self.rank :: self.ranks]


def training_seed(seed: int, i: int) -> int:
    """The generator's seed for the i-th training batch: even, where those of evaluation are odd.

    Below 2^32, of which a CPU's generator reads no more.
    """
    return 2 * (seed * 1_000_003 + i) % 2**32


def evaluation_seed(split_seed: int, part: int, i: int = 0) -> int:
    """The generator's seed for the i-th batch of a split, 0 for validation and 1 for test."""
    return (2 * (split_seed * 1_000_003 + 2 * i + part) + 1) % 2**32
