"""A tiny task and a network for it, trained in milliseconds by the real learner and Lightning's real trainer."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor
from torch.nn.functional import cross_entropy

from isogain.data.batches import Batches
from isogain.data.mnist import hits
from isogain.init import orthogonal_
from isogain.models.rnn import RNN
from isogain.optim import SGD, Optim
from isogain.record.checkpoints import WholeFileIO
from isogain.record.logger import RunRecord
from isogain.reg.base import Regularizer
from isogain.training.learner import Learner

FROZEN = SGD(lr=1e-30, schedule="constant")  # too small a rate to change a float32


class Toy(pl.LightningDataModule):
    """Random sequences (B, 5, 3) in 4 classes; the training batches come in the order of `x` and `y`."""

    def __init__(self, examples: int = 20, batch_size: int = 8) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(7)
        self.x = torch.randn(examples, 5, 3, generator=draw)
        self.y = torch.randint(4, (examples,), generator=draw)
        self.batch_size = batch_size

    def train_dataloader(self) -> Batches:
        return Batches(self.x, self.y, self.batch_size, lambda x: x)

    def val_dataloader(self) -> Batches:
        return Batches(self.x[:11], self.y[:11], 4, lambda x: x)

    def probe(self, examples: int) -> tuple[Tensor, Tensor]:
        return self.x[:examples], self.y[:examples]


def learner(reg: Regularizer | None = None, optim: Optim = FROZEN, **options: Any) -> Learner:
    net = RNN(n_in=3, n_out=4, length=5, hidden=6)
    return Learner(net, orthogonal_, reg or Regularizer(), optim, cross_entropy, hits, **options)


def trainer(
    out: Path,
    callbacks: Sequence[pl.Callback] = (),
    clip: float | None = None,
    plugins: Sequence[Any] = (),
    **options: Any,
) -> pl.Trainer:
    out.mkdir(parents=True, exist_ok=True)
    defaults = {"max_epochs": 2, "log_every_n_steps": 1000, "accelerator": "cpu"}
    return pl.Trainer(
        logger=[RunRecord(out)],
        callbacks=list(callbacks),
        plugins=[WholeFileIO(), *plugins],
        gradient_clip_val=clip,
        default_root_dir=out,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        num_sanity_val_steps=0,
        **(defaults | options),
    )


def fitted(
    out: Path,
    callbacks: Sequence[pl.Callback] = (),
    data: Toy | None = None,
    model: Learner | None = None,
    ckpt: Path | None = None,
    **options: Any,
) -> Learner:
    """Train `model` in the folder `out`; its metrics.csv is on the disk afterwards."""
    fitter = trainer(out, callbacks, **options)
    model = model or learner()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # few batches, long intervals
        fitter.fit(model, datamodule=data or Toy(), ckpt_path=ckpt, weights_only=True)
    fitter.logger.flush()
    return model
