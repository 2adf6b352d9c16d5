"""MNIST, flat or as a sequence; the files ship with the package (LeCun, Cortes, Burges; CC BY-SA 3.0)."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from isogain.data.batches import Stream
from isogain.data.idx import idx_tensor
from isogain.data.task import Task, hits

MD5 = {  # of the decompressed files, as published
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
VALIDATION = 12_000  # of 60 000, as in Hlav 2019
PERMUTATION_SEED = 92916  # numpy's RandomState; expRNN, scoRNN and their successors permute by it


class MNIST(Task):
    """Flat MNIST for the MLP: x (B, 784) in [0, 1], y (B,) in 0 … 9; 48 000 / 12 000 / 10 000
    examples.

    `split_seed` alone decides which 12 000 training images validate, `seed` the order of training
    batches. `root` is a folder with the four IDX files, xz-compressed (None: the package's own).
    """

    n_out, loss, hits = 10, staticmethod(cross_entropy), staticmethod(hits)
    length, n_in, sequential = 1, 784, False

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        root: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, seed)
        self.root = Path(root) if root else Path(__file__).parent / "mnist_idx"

    def streams(self, device: torch.device | str) -> dict[str, Stream]:
        """Read the files, and keep them as uint8."""
        train_x, train_y, test_x, test_y = (
            idx_tensor(self.root / f"{n}.xz", md5) for n, md5 in MD5.items()
        )
        rows = torch.randperm(
            len(train_y), generator=torch.Generator().manual_seed(self.split_seed)
        )
        train, val = rows[VALIDATION:], rows[:VALIDATION]
        images = {"train": train_x[train], "val": train_x[val], "test": test_x}
        labels = {"train": train_y[train], "val": train_y[val], "test": test_y}
        parts = {p: (self.kept(x.flatten(1)), labels[p].long()) for p, x in images.items()}
        return self.stored(parts, device, self.view)

    def kept(self, x: Tensor) -> Tensor:
        """The uint8 images (B, 784) as they are kept."""
        return x

    def view(self, x: Tensor) -> Tensor:
        """A batch of stored images as the network reads them."""
        return x / 255


class SeqMNIST(MNIST):
    """MNIST as a sequence (B, T, D): `rows` 28 × 28, `pixels` 784 × 1, `permuted` 784 × 1 in one
    fixed random order.

    The permutation is RandomState(92916).permutation(784), the one of expRNN and scoRNN. Le, Jaitly
    and Hinton 2015.
    """

    sequential = True

    def __init__(
        self,
        order: Literal["rows", "pixels", "permuted"] = "rows",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        root: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, root, seed)
        self.order = order
        self.length, self.n_in = (28, 28) if order == "rows" else (784, 1)

    def kept(self, x: Tensor) -> Tensor:
        if self.order != "permuted":
            return x
        return x[
            :, torch.from_numpy(np.random.RandomState(PERMUTATION_SEED).permutation(x.shape[1]))
        ]

    def view(self, x: Tensor) -> Tensor:
        return (x / 255).unflatten(1, (self.length, self.n_in))
