"""What a callback needs of the LightningModule that it measures: our Learner answers for itself, any other one is the
network.
"""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any, ClassVar, Protocol

import pytorch_lightning as pl
from torch import Tensor, nn

from isogain.callbacks.probe_batch import Probe
from isogain.config.errors import ConfigError
from isogain.config.nearest import nearest
from isogain.training.learner import Learner


class Asks(Protocol):
    """A callback, as far as a subject reads it: the numbers that it keeps, and the name of a part of the module."""

    metrics: dict[str, float]
    net: str | None


class Subject:
    """Any LightningModule: itself the network, or its part `callback.net`; numbers are kept on the callback.

    `refusal` is the error for an option that cannot be, `outlasted` are errors of a measurement that training outlasts.
    """

    refusal: ClassVar[type[Exception]] = ValueError
    outlasted: ClassVar[tuple[type[Exception], ...]] = (Exception,)
    loss: Any = None

    def __init__(self, module: pl.LightningModule, callback: Asks) -> None:
        self.module, self.callback = module, callback

    @property
    def whole(self) -> nn.Module:
        """The module that names and patterns begin at, unless the callback has a part of it."""
        return self.module

    @property
    def net(self) -> nn.Module:
        """The network; raises ValueError where the module has no part of this name."""
        parts = dict(self.whole.named_modules())
        if (name := self.callback.net or "") not in parts:
            kind = type(self.whole).__name__
            raise ValueError(f"net: {kind} has no module {name!r}: {nearest(name, parts)}")
        return parts[name]

    @property
    def called(self) -> nn.Module:
        """The network, to be called on a batch; raises ValueError where it cannot be."""
        if type(self.net).forward is pl.LightningModule.forward:
            names = ", ".join(name for name, _ in self.net.named_children())
            raise ValueError(
                f"net: {type(self.net).__name__} has no forward: pass net=, the name of its network (there is: {names})"
            )
        return self.net

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of what was measured."""
        return self.callback.metrics

    def keep(self, values: Mapping[str, float | None]) -> None:
        """Take up what was measured on the weights of this step."""
        self.metrics.update({k: v for k, v in values.items() if v is not None})

    def batch(self, trainer: pl.Trainer, probe: Probe) -> tuple[Any, Any]:
        """What the network is called with, and the targets; on its device."""
        return probe.batch(trainer, self.module)


class LearnerSubject(Subject):
    """Our Learner: its network, its summary, and the probe batch of its task unless another one is given."""

    refusal = ConfigError
    outlasted = (RuntimeError, MemoryError)  # RuntimeErrors: LinAlgError, OutOfMemoryError
    module: Learner

    @property
    def loss(self) -> Any:  # type: ignore[override]
        return self.module.loss

    @property
    def whole(self) -> nn.Module:
        return self.module.net

    @property
    def metrics(self) -> dict[str, float]:
        return self.module.metrics

    def keep(self, values: Mapping[str, float | None]) -> None:
        self.module.keep(values)

    def batch(self, trainer: pl.Trainer, probe: Probe) -> tuple[Tensor, Any]:
        """The first validation examples, their inputs in the precision of the network."""
        if probe.given is not None or not hasattr(trainer.datamodule, "probe"):
            return super().batch(trainer, probe)
        x, y = trainer.datamodule.probe(probe.examples)
        return x.to(next(self.module.net.parameters()).dtype), y


@singledispatch
def subject(module: pl.LightningModule, callback: Asks) -> Subject:
    """The adapter for a module of this type."""
    return Subject(module, callback)


@subject.register
def _(module: Learner, callback: Asks) -> Subject:
    return LearnerSubject(module, callback)
