"""A transformer's Jacobian spectrum during training in Lightning: the singular values from block to block."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import isogain as ig


class Reverser(pl.LightningModule):
    """Says a sequence of tokens backwards."""

    def __init__(self, tokens: int = 10, length: int = 8, width: int = 32) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, norm_first=True, batch_first=True
        )
        self.embedding = nn.Embedding(tokens, width)
        self.position = nn.Parameter(torch.randn(length, width))
        self.encoder = nn.TransformerEncoder(block, 3, enable_nested_tensor=False)
        self.readout = nn.Linear(width, tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.readout(self.encoder(self.embedding(tokens) + self.position))

    def training_step(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        (tokens,) = batch
        return cross_entropy(self(tokens).mT, tokens.flip(1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


class BlockSpectrum(pl.Callback):
    """Prints the extremes of ∂h_L/∂h_0 between the first block's output and the last's, of two sequences."""

    def __init__(self, tokens: torch.Tensor) -> None:
        self.tokens = tokens

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Reverser) -> None:
        logs = ig.jacobian_spectrum(ig.along(module, "encoder.layers.*"), self.tokens)
        loss = module.training_step((self.tokens,))
        print(
            f"step {trainer.global_step:3d}  loss {loss.item():.3f}  singular values from {logs.min().exp():.3f} "
            f"to {logs.max().exp():.3f}, median {logs.median().exp():.3f}"
        )


pl.seed_everything(0)
data = TensorDataset(torch.randint(10, (512, 8)))
trainer = pl.Trainer(
    max_epochs=3,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[BlockSpectrum(data.tensors[0][:2])],
)
trainer.fit(Reverser(), DataLoader(data, 32))
