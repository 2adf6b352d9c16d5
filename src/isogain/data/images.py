"""Labelled images kept as uint8, flat or as a sequence; where the files are is up to the data set."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from isogain.config.errors import unwritten
from isogain.data.batches import Stream
from isogain.data.inputs import Inputs, view_of
from isogain.data.task import Task, hits

PERMUTATION_SEED = 92916  # numpy's RandomState; expRNN, scoRNN and their successors permute by it
Order = Literal["flat", "rows", "pixels", "permuted"]


class Images(Task):
    """x (B, H·W·C), y (B,) in 0 … 9; `validation` of the training images validate.

    `inputs`: pixels in [0, 1]; normalised to mean 0 and variance 1 a channel; whitened, at unit length.
    """

    n_out, loss, hits = 10, staticmethod(cross_entropy), staticmethod(hits)
    shape = (28, 28, 1)  # H, W, C
    validation: int

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        root: str | None = None,
        seed: int = 0,
        inputs: Inputs = "pixels",
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, seed)
        self.root, self.inputs = self.folder(root), inputs
        self.arrange("flat")

    def folder(self, root: str | None) -> Path:
        """Where the files are looked for."""
        return Path(root or "data")

    def arrange(self, order: Order) -> None:
        """Set the network's ends to images read in `order`."""
        high, wide, channels = self.shape
        ends = {"flat": (1, high * wide * channels), "rows": (high, wide * channels)}
        self.order, self.sequential = order, order != "flat"
        self.length, self.n_in = ends.get(order, (high * wide, channels))

    def read(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Training images (N, H, W, C) and labels (N,), and those of the test, as uint8."""
        raise unwritten(self, "read")

    def streams(self, device: torch.device | str) -> dict[str, Stream]:
        train_x, train_y, test_x, test_y = self.read()
        draw = torch.Generator().manual_seed(self.split_seed)
        rows = torch.randperm(len(train_y), generator=draw)
        train, val = rows[self.validation :], rows[: self.validation]
        chosen = train_x.index_select  # half the time of train_x[train]
        images = {"train": chosen(0, train), "val": chosen(0, val), "test": test_x}
        labels = {"train": train_y[train], "val": train_y[val], "test": test_y}
        parts = {p: (self.kept(x), labels[p].long()) for p, x in images.items()}
        self._features = view_of(self.inputs, parts["train"][0], self.shape[-1], device)
        return self.stored(parts, device, self.view)

    def kept(self, x: Tensor) -> Tensor:
        """The images (B, H, W, C) as they are kept, (B, H·W·C)."""
        if self.order == "permuted":
            steps = np.random.RandomState(PERMUTATION_SEED).permutation(self.length)
            x = x.flatten(1, 2)[:, torch.from_numpy(steps)]
        return x.flatten(1)

    def view(self, x: Tensor) -> Tensor:
        """A batch of stored images as the network reads them."""
        x = self._features(x)
        return x.view(-1, self.length, self.n_in) if self.sequential else x


class Sequences(Images):
    """The images as sequences (B, T, D): `rows` H × W·C, `pixels` H·W × C, `permuted` likewise in one
    fixed random order. `flat` has no time axis.

    The permutation of MNIST is RandomState(92916).permutation(784), the one of expRNN and scoRNN. Le,
    Jaitly and Hinton 2015.
    """

    as_sequence = "data.order=rows"

    def __init__(
        self,
        order: Order = "rows",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        root: str | None = None,
        seed: int = 0,
        inputs: Inputs = "pixels",
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, root, seed, inputs)
        self.arrange(order)
