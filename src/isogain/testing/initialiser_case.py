"""An initialiser under its contract, and the same one at another gain."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

Shape = tuple[int, ...]
Fill = Callable[..., Tensor]


@dataclass(frozen=True)
class InitialiserCase:
    """`init` fills (..., n, k) in place; a class is built with its defaults."""

    build: Any

    @property
    def init(self) -> Fill:
        return self._class()() if inspect.isclass(self.build) else self.build

    @property
    def has_gain(self) -> bool:
        """Whether it can be had at another gain: by its signature, or by the options that its class takes."""
        asked = set(inspect.signature(self.build).parameters)
        options = {} if inspect.isclass(self.build) else getattr(self.build, "options", {})
        return "gain" in asked | set(options)

    def with_gain(self, gain: float) -> Fill:
        """The same initialiser at this gain; raises what its class does where that is out of range."""
        if inspect.isclass(self.build):
            return self._class()(gain=gain)
        if "gain" in inspect.signature(self.build).parameters:
            return partial(self.build, gain=gain)
        return self._class()(**(dict(self.build.options) | {"gain": gain}))

    def _class(self) -> Callable[..., Fill]:
        built: Callable[..., Fill] = self.build
        return built if inspect.isclass(self.build) else self.build.__class__
