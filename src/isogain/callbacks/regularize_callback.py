"""A regulariser around the optimiser of any LightningModule."""

import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from isogain.callbacks.subject import subject
from isogain.config.errors import ConfigError
from isogain.reg.base import Regularizer
from isogain.reg.handle import Handle
from isogain.reg.held_parameters import HeldParameter, held_parameters
from isogain.reg.kernel_views import Blocks, Function
from isogain.reg.optimizer_moments import Moments
from isogain.reg.parameter_groups import innermost
from isogain.reg.parametrized_kernel import ParametrizedKernel
from isogain.reg.regularize import regularize, regularize_attached
from isogain.training.learner import Learner
from isogain.training.loss_scale import overflowed

IN_LIGHTNING = " (in Lightning: call this callback's attach(self, optimizer) in configure_optimizers, between the two)"


class Regularize(pl.Callback):
    """Lets `reg` act on the weights that `match` names, around every step: `isogain.regularize` in any LightningModule.

    `match`, `view`, `blocks`, `moments` as there; names begin at the module, or at its part `net`. Gradients are edited
    before clipping, and seen unedited by the callbacks in front of this one. A step that a GradScaler skips changes
    nothing. Schedules take their time from `trainer.estimated_stepping_batches`. `handle` is what `isogain.regularize`
    returns, while the module trains; its count of steps and what the regulariser remembers are in checkpoints.

    Lie and Spectral exchange the parameters in `setup`, before the optimiser exists. Where a constraint needs a
    parameter group of its own (weight decay, a learned gain) and the module has a scheduler, call `attach` in
    `configure_optimizers`, between the two.
    """

    only_observes = False

    def __init__(
        self,
        reg: Regularizer,
        match: str | Sequence[str] | None = None,
        view: Function | None = None,
        blocks: Blocks | None = None,
        moments: Moments | None = None,
        net: str | None = None,
    ) -> None:
        self.reg, self.match, self.view, self.blocks = reg, match, view, blocks
        self.moments, self.net = moments, net
        self.metrics: dict[str, float] = {}
        self.handle: Handle | None = None
        self._exchanged: list[ParametrizedKernel] = []
        self._loaded: dict[str, Any] | None = None
        self._registered: RemovableHandle | None = None

    @property
    def state_key(self) -> str:
        """Two in one training hold different weights."""
        match = self.match if isinstance(self.match, str | None) else tuple(self.match)
        return self._generate_state_key(reg=type(self.reg).__name__, match=match, net=self.net)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Raises TypeError or ValueError for weights that cannot be held."""
        if isinstance(module, Learner):
            raise ConfigError("callbacks.Regularize: a run has its regulariser by reg=")
        self._end()
        with _named("Regularize"):
            self._exchange(self._held(self._root(module)), stage)

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.handle is None:
            self.attach(module, trainer.optimizers)
        if self._loaded is not None:
            self.handle.load_state_dict(self._loaded)
            self._loaded = None

    def attach(self, module: pl.LightningModule, optimizers: Any) -> Handle:
        """Around the optimiser, or that of several which moves the weights: by itself when training begins, or called
        in `configure_optimizers`, after the optimiser and before its scheduler. Raises as `isogain.regularize` does.
        """
        weights = self._weights(module)
        kept = [w.detach().clone() for w in weights]
        with _named("Regularize"):
            optimizer = _that_moves(weights, optimizers)
            self.handle = handle = self._around(optimizer, module, self._time(module.trainer))
        if self._loaded is not None:  # weights of a checkpoint are where they belong, bitwise
            with torch.no_grad():
                for w, own in zip(weights, kept, strict=True):
                    w.copy_(own)
        after = innermost(optimizer).register_step_post_hook
        self._registered = after(lambda *step: handle.after_step())
        return handle

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if innermost(optimizer) is self.handle.optimizer and not overflowed(trainer, optimizer):
            self.handle.before_step()

    def state_dict(self) -> dict[str, Any]:
        return {} if self.handle is None else self.handle.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state or None

    def _root(self, module: pl.LightningModule) -> nn.Module:
        return subject(module, self).net

    def _held(self, root: nn.Module) -> list[HeldParameter]:
        if self._exchanged:
            return []
        return held_parameters(root, self.match, self.view, self.blocks)

    def _weights(self, module: pl.LightningModule) -> list[Tensor]:
        """What the optimiser moves."""
        if self._exchanged:
            return [w for kernel in self._exchanged for w in kernel.parameters_moved()]
        return [held.weight for held in self._held(self._root(module))]

    def _exchange(self, held: list[HeldParameter], stage: str) -> None:
        """Re-parametrise, in every stage: a checkpoint has the parameters under their new names."""
        if self.reg.reparametrizes:
            for one in held:
                kernel = ParametrizedKernel(one)
                kernel.attach(self.reg)
                self._exchanged.append(kernel)

    def _around(self, optimizer: Any, module: pl.LightningModule, time: dict[str, int]) -> Handle:
        if self._exchanged:
            options = {"moments": self.moments, **time, "hooks": False}
            return regularize_attached(optimizer, self._exchanged, self.reg, **options)
        chosen = {"view": self.view, "blocks": self.blocks, "match": self.match}
        options = chosen | {"moments": self.moments, **time, "hooks": False}
        return regularize(optimizer, self._root(module), self.reg, **options)

    def _time(self, trainer: pl.Trainer) -> dict[str, int]:
        """Steps of the training and of an epoch where the regulariser reads them: that sets up the dataloader."""
        reads, time = self.reg.reads_of_time(), {}
        if not reads:
            return time
        total = trainer.estimated_stepping_batches
        if "fraction" in reads:
            if math.isinf(total):
                raise ValueError("a schedule over the whole training needs max_epochs or max_steps")
            time["steps"] = int(total)
        if "epoch" in reads:
            batches = trainer.num_training_batches
            if math.isinf(batches):
                raise ValueError("a schedule in epochs needs a dataloader of known length")
            time["steps_per_epoch"] = -(-int(batches) // trainer.accumulate_grad_batches)
        return time

    def _end(self) -> None:
        """Leave the optimiser of an earlier training."""
        if self._registered is not None:
            self._registered.remove()
        self.handle = self._registered = None


def _that_moves(weights: list[Tensor], optimizers: Any) -> Any:
    """The optimiser that has the first of the weights; raises ValueError where none has."""
    several = optimizers if isinstance(optimizers, list | tuple) else [optimizers]
    for optimizer in several:
        if any(p is weights[0] for group in optimizer.param_groups for p in group["params"]):
            return optimizer
    raise ValueError(
        f"a held weight {tuple(weights[0].shape)} is among the parameters of no optimiser: it would never step"
    )


class _named:
    """Errors of options begin with the callback's name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, TypeError | ValueError):
            hint = IN_LIGHTNING if "scheduler" in str(error) else ""
            raise type(error)(f"{self.name}: {error}{hint}") from None
