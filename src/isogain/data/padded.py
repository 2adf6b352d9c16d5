"""MNIST followed by noise: how long a network remembers, at any length."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from isogain.config.ranges import between
from isogain.data.batches import Batch, Batches, Stream, View, evaluation_seed, training_seed
from isogain.data.inputs import Inputs
from isogain.data.mnist import MNIST

TABLE = 150_000  # steps of noise, the same in every run


class Padded(Stream):
    """The batches of `rows`, each example followed by T steps of N(0, 1): a piece of one table, at a place
    from a generator seeded by the batch's number.

    To draw every number anew would cost 6 % of a training step on a CPU.
    """

    def __init__(self, rows: Batches, T: int, seed_of: Callable[[int], int]) -> None:
        super().__init__()
        self.rows, self.T, self.seed_of = rows, T, seed_of
        self.x, self.y, self.examples, self.size = rows.x, rows.y, rows.examples, rows.size
        self.anew = rows.anew
        wide = rows.view(rows.x[:1]).shape[-1]
        noise = torch.randn(TABLE, wide, generator=torch.Generator().manual_seed(TABLE))
        self.table = noise.to(rows.y.device)
        self.generator = torch.Generator()  # a CPU's draw on every device

    def share(self, rank: int, ranks: int) -> None:
        super().share(rank, ranks)
        self.rows.share(rank, ranks)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, i: int) -> Batch:
        x, y = self.rows.batch(i)
        return self._padded(x, i, self.rank, self.ranks), y

    def view(self, x: Tensor) -> Tensor:
        """Stored examples as the network reads them, with the noise of the first batch."""
        return self._padded(self.rows.view(x), 0)

    def _padded(self, x: Tensor, i: int, rank: int = 0, ranks: int = 1) -> Tensor:
        draw = self.generator.manual_seed(self.seed_of(i))
        places = torch.randint(TABLE - self.T, (len(x) * ranks, 1), generator=draw)[rank::ranks]
        steps = (places + torch.arange(self.T)).flatten().to(x.device)
        noise = self.table.index_select(0, steps).unflatten(0, (len(x), self.T))
        return torch.cat([x, noise], 1)


class NoisyPadded(MNIST):
    """The rows of an MNIST image, then T steps of N(0, 1): what was seen has to last through the noise.

    x (B, 28 + T, 28). Noise is another in every training batch and the same at every evaluation. Chang,
    Chen, Haber and Chi 2019, section 5.3, with images of MNIST.
    """

    def __init__(
        self,
        T: int = 200,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        root: str | None = None,
        seed: int = 0,
        inputs: Inputs = "pixels",
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, root, seed, inputs)
        self.T = int(between("T", T, 1, TABLE))
        self.arrange("rows")
        self.rows, self.length = self.length, self.length + self.T

    def view(self, x: Tensor) -> Tensor:
        return self._features(x).unflatten(1, (self.rows, self.n_in))

    def stored(
        self, parts: dict[str, Batch], device: torch.device | str, view: View
    ) -> dict[str, Stream]:
        stored = super().stored(parts, device, view)
        return {part: Padded(rows, self.T, self.noise_seed(part)) for part, rows in stored.items()}

    def noise_seed(self, part: str) -> Callable[[int], int]:
        """The generator's seed for the noise of the i-th batch."""
        if part == "train":
            return partial(training_seed, self.seed)
        return partial(evaluation_seed, self.split_seed, ("val", "test").index(part))
