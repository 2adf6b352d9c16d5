"""Training as Lightning sees it: loss and metrics, and the four moments of the regulariser."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.errors import Divergence
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.record import record
from isogain.reg.base import Regularizer

Batch = tuple[Tensor, Tensor]
BAD_STEP = 3  # place in `Learner.tally`


class Learner(pl.LightningModule):
    """Trains `net` by `loss` plus the regulariser's penalty; initialises the kernels in place.

    Order in a step: loss + penalty, backward, callbacks see the raw gradient, `before_step`,
    clipping, optimiser, `after_step`. Sums stay on the device and are read every
    `trainer.log_every_n_steps` steps and at the end of an epoch. `metrics` holds the latest value
    of everything that was measured, `examples` counts those trained on in this process.
    """

    def __init__(
        self,
        net: Network,
        init: Callable[[Tensor], Tensor],
        reg: Regularizer,
        optim: Optim,
        loss: Callable[[Tensor, Tensor], Tensor],
        hits: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.reg, self.optim, self.loss, self.hits = net, reg, optim, loss, hits
        for module, name in net.kernels():
            init(getattr(module, name))
            reg.attach(module, name)
        self.init_gain: float = getattr(init, "keywords", {}).get("gain", 1.0)
        self.metrics: dict[str, float] = {}
        self.examples = 0
        # sums over examples of loss and hits, the examples, and 1 + the first step with a non-finite loss
        self.register_buffer("tally", torch.zeros(4, dtype=torch.float64), persistent=False)

    @property
    def gain(self) -> float:
        """The g that the orthogonality gap is measured against: the regulariser's, else the initialiser's."""
        return getattr(self.reg, "gain", self.init_gain)

    def kernels(self) -> list[Tensor]:
        return [getattr(module, name) for module, name in self.net.kernels()]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self._tallied(batch)
        self.examples += len(batch[1])
        with torch.autocast(loss.device.type, enabled=False):  # constraints stay in full precision
            penalty = sum(self.reg.penalty(w) for w in self.kernels())
        total = loss + penalty
        if total.is_cpu:
            values = {"train/loss": loss.detach(), "the penalty": penalty.detach()}
            _stop_unless_finite(values, self.global_step)
        else:  # a look would wait for the device, so `flush` takes it
            bad = ~torch.isfinite(total.detach()) & (self.tally[BAD_STEP] == 0)
            self.tally[BAD_STEP] += bad * (self.global_step + 1)
        return total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        with torch.no_grad():
            for w in self.kernels():
                self.reg.before_step(w)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable | None = None
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        with torch.no_grad():
            for w in self.kernels():
                self._after_step(w, optimizer.state.get(w, {}))

    def configure_callbacks(self) -> list[pl.Callback]:
        return [TrainingMetrics()]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._tallied(batch)

    def on_validation_epoch_end(self) -> None:
        values = self.flush("val")
        self.log_dict(values, logger=False)  # for callbacks that monitor a metric

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._tallied(batch)

    def on_test_epoch_end(self) -> None:
        self.flush("test")

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.optim(self.net)
        scheduler = self.optim.scheduler(optimizer, self.trainer.estimated_stepping_batches)
        if scheduler is None:
            return {"optimizer": optimizer}
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for logger in self.trainer.loggers:
            if hasattr(logger, "flush"):
                logger.flush()  # the record is never behind a checkpoint
        checkpoint["isogain"] = {
            "tally": self.tally.cpu(),
            "metrics": dict(self.metrics),
            "optim": repr(self.optim),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["isogain"]
        self.tally.copy_(state["tally"])
        self.metrics = dict(state["metrics"])
        torch.set_rng_state(state["rng"])
        if len(state["cuda_rng"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(state["cuda_rng"])

    def _tallied(self, batch: Batch) -> Tensor:
        """The mean loss of a batch, added to the sums on the way."""
        x, y = batch
        logits = self.net(x)
        loss = self.loss(logits, y)
        with torch.no_grad():
            self.tally[0] += loss.detach() * len(y)
            if self.hits is not None:
                self.tally[1] += self.hits(logits, y).sum()
            self.tally[2] += len(y)
        return loss

    def flush(self, split: str) -> dict[str, float]:
        """Read the sums, log their means as `split`/loss and `split`/acc, and reset them.

        The one wait for the device in training. Raises Divergence where a loss was not finite.
        """
        loss, hits, examples, bad_step = self.tally.tolist()
        if examples == 0:
            return {}
        values = {f"{split}/loss": loss / examples}
        if self.hits is not None:
            values[f"{split}/acc"] = hits / examples
        step = int(bad_step) - 1 if bad_step else self.global_step
        _stop_unless_finite({f"{split}/loss": loss / examples}, step)
        if bad_step:
            raise Divergence("the penalty", math.nan, step)
        self.tally.zero_()
        self.metrics |= values
        record(self.trainer, values)
        return values

    def _after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        try:
            self.reg.after_step(w, state)
        except torch.linalg.LinAlgError:
            if torch.isfinite(w).all():
                raise
            raise Divergence("a kernel", math.nan, self.global_step) from None


class TrainingMetrics(pl.Callback):
    """When the training sums are read: a callback, since those that save a checkpoint come after all others."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, learner: Learner, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        ended = trainer.global_step == trainer.max_steps
        last = ended or batch_idx + 1 == trainer.num_training_batches
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if last or (stepped and trainer.global_step % trainer.log_every_n_steps == 0):
            learner.flush("train")

    def on_validation_start(self, trainer: pl.Trainer, learner: Learner) -> None:
        learner.flush("train")

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: Learner) -> None:
        learner.flush("train")  # where a callback ends an epoch early


def _stop_unless_finite(values: dict[str, float | Tensor], step: int) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise Divergence(name, float(value), step)
