"""What a run asks of its task: three streams of batches in memory, a loss, and the sizes of the network's ends."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from isogain.config.errors import DataError, unwritten
from isogain.config.objective import default_objective
from isogain.config.ranges import at_least, between
from isogain.data.batches import Batch, Batches, Stream, View


def hits(logits: Tensor, y: Tensor) -> Tensor:
    """Which examples are classified right; (B,) of bool."""
    return logits.argmax(-1) == y


class Task(pl.LightningDataModule):
    """x (B, length, n_in), or (B, n_in) where not `sequential`, and y, for which the network gives n_out numbers.

    `per_step` asks for them after every time step. `hits` says which examples are right, or the
    share of each that is; None where nothing is. `baseline` is the loss of the best answer that
    ignores what the task is about. `embedding` turns tokens (B, length) into x and is trained along.
    `split_seed` alone decides what validation and test hold, `seed` what comes when in training.
    """

    n_in: int
    n_out: int
    length: int = 1
    sequential: bool = False
    per_step: bool = False
    loss: Callable[[Tensor, Tensor], Tensor]
    hits: Callable[[Tensor, Tensor], Tensor] | None = None
    baseline: float | None = None
    embedding: nn.Module | None = None
    split_sizes: Mapping[str, int] = {}  # by part, where they are known before anything is read
    as_sequence: str = "data=seqmnist"  # the override that gives the task a time axis

    def __init__(self, batch_size: int, eval_batch_size: int, split_seed: int, seed: int) -> None:
        super().__init__()
        self.batch_size = int(at_least("batch_size", batch_size, 1))
        self.eval_batch_size = int(at_least("eval_batch_size", eval_batch_size, 1))
        self.split_seed = int(between("split_seed", split_seed, 0, 2**63))
        self.seed = seed
        self._batches: dict[str, Stream] = {}

    @property
    def objective(self) -> str:
        """The key of summary.json that says how well a network did."""
        return default_objective(self.hits is not None)

    def sizes(self) -> dict[str, int | bool]:
        """What a network is built with; `per_step` only where it is asked for."""
        ends = {"n_in": self.n_in, "n_out": self.n_out, "length": self.length}
        return ends | {"per_step": True} if self.per_step else ends

    def known_batches(self, ranks: int = 1) -> dict[str, int]:
        """Batches an epoch of train, val and test, of each of `ranks` processes; before `load` as far as is known."""
        if self._batches:
            return {part: len(stream) for part, stream in self._batches.items()}
        sizes = {
            "train": self.batch_size,
            "val": self.eval_batch_size,
            "test": self.eval_batch_size,
        }
        return {part: -(-(n // ranks) // sizes[part]) for part, n in self.split_sizes.items()}

    def load(self, device: torch.device | str = "cpu") -> None:
        """Make the three streams, once, on `device`; raises DataError for a missing or damaged file."""
        if not self._batches:
            self._batches = self.streams(device)

    def streams(self, device: torch.device | str) -> dict[str, Stream]:
        """The batches of `train`, `val` and `test`."""
        raise unwritten(self, "streams")

    def stored(
        self, parts: dict[str, Batch], device: torch.device | str, view: View
    ) -> dict[str, Stream]:
        """Streams of examples (x, y) kept on `device`: training in its seed's order, evaluation in that of the data."""
        return {
            part: Batches(
                x.to(device),
                y.to(device),
                self.batch_size if part == "train" else self.eval_batch_size,
                view,
                self.seed if part == "train" else None,
            )
            for part, (x, y) in parts.items()
        }

    def probe(self, examples: int) -> tuple[Tensor, Tensor]:
        """The first `examples` of the validation split: the same at every step of every run."""
        val = self._batches["val"]
        x = val.view(val.x[:examples])
        return x if self.embedding is None else self.embedding(x).detach(), val.y[:examples]

    def setup(self, stage: str) -> None:
        self.load(self.trainer.strategy.root_device if self.trainer else "cpu")

    def share(self, rank: int, ranks: int) -> None:
        """Give this process its part of every split, where `ranks` of them train together."""
        for part, batches in self._batches.items():
            if batches.examples < ranks:
                raise DataError(f"{part} has {batches.examples} examples for {ranks} processes")
            batches.share(rank, ranks)

    def train_dataloader(self) -> Stream:
        return self._batches["train"]

    def val_dataloader(self) -> Stream:
        return self._batches["val"]

    def test_dataloader(self) -> Stream:
        return self._batches["test"]

    def state_dict(self) -> dict[str, Any]:
        return self._batches["train"].state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._batches["train"].load_state_dict(state)
