"""A LightningModule that is not ours, with a residual network, and data for it."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, TensorDataset

WIDTH, CLASSES, STEPS_PER_EPOCH = 6, 3, 4
BLOCKS = ["blocks.0", "blocks.1", "blocks.2"]


class Block(nn.Module):
    """h + tanh(W h)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(WIDTH, WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.fc(h).tanh()


class Theirs(pl.LightningModule):
    """Batch normalisation and dropout, so that a measurement in training mode would leave a trace."""

    def __init__(self, scheduled: bool = False, **optim: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.scheduled, self.optim = scheduled, {"lr": 0.05} | optim
        self.inlet = nn.Sequential(nn.Linear(4, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(0.2))
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        for block in self.blocks:
            h = block(h)
        return self.head(h)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss = cross_entropy(self(x), y)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", cross_entropy(self(x), y))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), **self.optim)
        if not self.scheduled:
            return optimizer
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Noisy(Dataset):
    """Adds noise from the global generator to each example, as augmentations do."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i] + 0.1 * torch.randn(4), self.y[i]


def examples(count: int = 32) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(count, 4, generator=draw), torch.randint(CLASSES, (count,), generator=draw)


def loaders(noise: bool = False) -> tuple[DataLoader, DataLoader]:
    """Of training, shuffled by the global generator, and of validation."""
    data = Noisy(*examples()) if noise else TensorDataset(*examples())
    return DataLoader(data, 8, shuffle=True), DataLoader(data, 5)


def trained(
    folder: Path,
    callbacks: Sequence[pl.Callback] = (),
    module: pl.LightningModule | None = None,
    data: tuple[Any, Any] | None = None,
    logger: Any = None,
    ckpt: Path | None = None,
    **options: Any,
) -> pl.LightningModule:
    """Train for two epochs of four steps with a CSVLogger in `folder`."""
    module = module or Theirs()
    torch.manual_seed(5)
    defaults = {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1}
    trainer = pl.Trainer(
        logger=CSVLogger(folder, name="", version="") if logger is None else logger,
        callbacks=list(callbacks),
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        **(defaults | {"enable_checkpointing": False} | options),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer.fit(module, *(data or loaders()), ckpt_path=ckpt, weights_only=False)
    return module


def equal(one: nn.Module, other: nn.Module) -> bool:
    """Bitwise."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
