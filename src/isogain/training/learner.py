"""Training as Lightning sees it: loss and metrics, and the four moments of the regulariser."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from isogain.config.errors import ConfigError, Divergence
from isogain.init.initialiser import as_initialiser
from isogain.linalg.half import at_least_single
from isogain.models.base import Network
from isogain.optim import Optim, kernel_parameters, unscaled_before_step
from isogain.record.logger import record
from isogain.reg.base import Regularizer, Time
from isogain.training import warm_start
from isogain.training.loss_scale import SkippedSteps
from isogain.training.metrics import Tally, TrainingMetrics, stop_unless_finite

Batch = tuple[Tensor, Tensor]
MOVED = 1e-3  # of a kernel's norm


class Learner(pl.LightningModule):
    """Trains `net` by `loss` plus the regulariser's penalty; initialises the kernels in place.

    Order in a step: loss, backward, callbacks see the raw gradient, `before_step`, clipping, optimiser, `after_step`.
    The penalty is differentiated with the loss, and logged as train/penalty as it was added to the last batch's;
    where `before_step` adds its gradient, its value is computed when it is logged and at no other time: of the weights
    then, at the strength of the last step. Sums stay on the device and
    are read every `trainer.log_every_n_steps` steps and at the end of an epoch. `metrics` holds the latest value of
    everything that was measured in this run, `measured_at` of what was measured on the weights of one step that
    step, `examples` counts those trained on in this process. `resumes`: a checkpoint that is loaded is of this very
    run, else nothing that was measured on the way to it is taken over. `baseline`
    is a loss to log beside ours; `embedding` turns a batch's tokens into what `net` reads, and is trained too.
    No gradient seen here carries a loss scale; a step that a scaler skips changes nothing, nor does time pass.
    """

    def __init__(
        self,
        net: Network,
        init: Callable[[Tensor], Tensor],
        reg: Regularizer,
        optim: Optim,
        loss: Callable[[Tensor, Tensor], Tensor],
        hits: Callable[[Tensor, Tensor], Tensor] | None = None,
        baseline: float | None = None,
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.net, self.reg, self.optim, self.loss, self.hits = net, reg, optim, loss, hits
        self.as_drawn = True  # whether the kernels are the initialiser's still: a reg may move them
        self.constants = {} if baseline is None else {"baseline/loss": baseline}
        self.embedding = embedding
        for module, name in net.kernels():
            drawn = init(getattr(module, name)).detach().clone()
            reg.attach(module, name)
            off = (getattr(module, name).detach() - drawn).norm() / drawn.norm()
            self.as_drawn &= bool(off < MOVED)
        self.init = as_initialiser(init)
        self.metrics: dict[str, float] = {}
        self.measured_at: dict[str, int] = {}
        self.resumes = True
        self.examples = 0
        self._reg_changed = False
        self._added: Tensor | None = None  # to the last batch's loss by the penalty
        self.tally, self.skipped = Tally(), SkippedSteps()

    def gains(self) -> list[float | Tensor]:
        """The g that each kernel's orthogonality gap is measured against: the regulariser's, else the initialiser's."""
        targets = (self.reg.gain_of(w) for w in self.kernels())
        return [self.init.gain if gain is None else gain for gain in targets]

    def keep(self, values: Mapping[str, float | None]) -> None:
        """Take up what was measured on the weights of this step."""
        self.metrics |= values
        self.measured_at |= dict.fromkeys(values, self.global_step)

    def is_current(self, name: str) -> bool:
        """Whether a metric is of the present weights; one of the whole run always is."""
        return self.measured_at.get(name, self.global_step) == self.global_step

    def kernels(self) -> list[Tensor]:
        return [getattr(module, name) for module, name in self.net.kernels()]

    @cached()  # a re-parametrised kernel is computed once a step, however often the network reads it
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.reg.time = self._time()
        loss = self._tallied(batch)
        self.examples += len(batch[1])
        values = {"train/loss": loss.detach()}
        total = at_least_single(loss)  # a loss scale is too large for float16
        if self.reg.has_penalty and not self.reg.adds_penalty_gradient:
            penalty = self._penalty(self.reg.penalty)
            total, self._added = total + penalty, penalty.detach()
            values["the penalty"] = self._added
        if total.is_cpu and self.trainer.world_size == 1:
            stop_unless_finite(values, self.global_step)
        else:  # a look would wait for the device, or end one of several processes: `flush` takes it
            self.tally.mark(total, self.global_step)
        return total

    def _penalty(self, of_kernel: Callable[[Tensor], Tensor]) -> Tensor:
        """The sum over all kernels, in full precision."""
        with torch.autocast(self.device.type, enabled=False):
            return sum(of_kernel(w) for w in self.kernels())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.skipped.look(self.trainer, optimizer):
            return
        with torch.no_grad():
            for w in kernel_parameters(self.net):
                self.reg.before_step(w)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable | None = None
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.skipped.now:
            self.metrics["loss_scale/skipped"] = self.skipped.count
            return self.skipped.check(self.trainer)
        with torch.no_grad():
            for w in kernel_parameters(self.net):
                self._after_step(w, optimizer.state.get(w, {}))

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        if not self.skipped.now:
            super().lr_scheduler_step(scheduler, metric)

    def configure_callbacks(self) -> list[pl.Callback]:
        return [TrainingMetrics()]

    @cached()
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._tallied(batch)

    def on_validation_epoch_end(self) -> None:
        values = self.flush("val")
        self.log_dict(values, logger=False)  # for callbacks that monitor a metric

    @cached()
    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._tallied(batch)

    def on_test_epoch_end(self) -> None:
        self.flush("test")

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = unscaled_before_step(self.optim(self.net, self.reg))
        self._bind(optimizer)
        if self.embedding is not None:
            optimizer.param_groups[0]["params"] += self.embedding.parameters()
        scheduler = self.optim.scheduler(optimizer, self.trainer.estimated_stepping_batches)
        if scheduler is None:
            return {"optimizer": optimizer}
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _bind(self, optimizer: torch.optim.Optimizer) -> None:
        try:
            self.reg.bind(optimizer, self.optim.moments)
        except ValueError as error:
            raise ConfigError(f"optim: {error}") from None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for logger in self.trainer.loggers:
            if hasattr(logger, "flush"):
                logger.flush()  # the record is never behind a checkpoint
        checkpoint["isogain"] = warm_start.state_of(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises CheckpointError where it is of other weights or parameter groups.

        From a checkpoint of another regulariser the kernels are brought to where this one may begin, and their
        optimiser state starts afresh. What was measured, by callbacks too, is taken over where this run `resumes`.
        """
        state = checkpoint["isogain"]
        warm_start.fit_to_(checkpoint, self.state_dict(), self.reg)
        self._reg_changed = state["reg"] != warm_start.basis_of_state(self.reg)
        self.skipped.count = state.get("skipped", 0)
        if self.resumes:
            self.tally.restore(state["tally"], self.trainer)
            self.metrics, self.measured_at = warm_start.measured(state, checkpoint["global_step"])
        else:
            checkpoint["callbacks"] = {}
        warm_start.set_generators(state)

    def on_train_start(self) -> None:
        warm_start.set_rates_([config.scheduler for config in self.trainer.lr_scheduler_configs])
        if self._reg_changed:
            (optimizer,) = self.trainer.optimizers
            warm_start.begin_kernels_afresh_(
                optimizer, self.optim(self.net, self.reg), self.net, self.reg
            )

    def _time(self) -> Time:
        trainer, done = self.trainer, self.global_step - self.skipped.count
        steps = -(-trainer.num_training_batches // trainer.accumulate_grad_batches)
        return Time(done, done / steps, done / trainer.estimated_stepping_batches)

    def _tallied(self, batch: Batch) -> Tensor:
        """The mean loss of a batch, added to the sums on the way."""
        x, y = batch
        with torch.autocast(x.device.type, enabled=False):
            self.kernels()  # a re-parametrised kernel too is computed, and then cached, in full precision
        logits = self.net(x if self.embedding is None else self.embedding(x))
        loss = self.loss(logits, y)
        with torch.no_grad():
            self.tally.add(loss, self.hits and self.hits(logits, y), len(y))
        return loss

    def flush(self, split: str) -> dict[str, float]:
        """Read the sums, log their means as `split`/loss and `split`/acc, and reset them.

        Raises Divergence where a loss was not finite.
        """
        sums = self.tally.sums_and_reset_(self.trainer)
        if sums.examples == 0:
            return {}
        values = {f"{split}/loss": sums.loss / sums.examples}
        if self.hits is not None:
            values[f"{split}/acc"] = sums.hits / sums.examples
        step = self.global_step if sums.bad_step is None else sums.bad_step
        stop_unless_finite({f"{split}/loss": values[f"{split}/loss"]}, step)
        if sums.bad_step is not None:
            raise Divergence("the penalty", math.nan, step)
        if split == "train":
            values |= self._measured_penalty()
        self.keep(values)
        self.metrics |= self.constants
        record(self.trainer, values | self.constants)
        return values

    @torch.no_grad()
    @cached()
    def _measured_penalty(self) -> dict[str, float]:
        """train/penalty, if there is one; raises Divergence where it is not finite."""
        if not self.reg.has_penalty:
            return {}
        closed = self.reg.adds_penalty_gradient
        value = self._penalty(self.reg.measured_penalty) if closed else self._added
        if value is None:  # resumed, and no batch since
            return {}
        stop_unless_finite({"the penalty": value.item()}, self.global_step)
        return {"train/penalty": value.item()}

    def _after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        try:
            self.reg.after_step(w, state)
        except torch.linalg.LinAlgError:
            if torch.isfinite(w).all():
                raise
            raise Divergence("a kernel", math.nan, self.global_step) from None
