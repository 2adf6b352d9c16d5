"""`init=critical`: a whole network on the critical line of mean-field theory, kernels, biases and input."""

import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

from isogain.config.errors import ConfigError, refusal
from isogain.init import gaussian_, orthogonal_
from isogain.models.base import Network
from isogain.theory.critical_point import Point
from isogain.theory.spectrum import Weights

BASES = {"orthogonal": orthogonal_, "gaussian": gaussian_}


class Critical:
    """Kernels from `base` at the gain σ_w with χ = 1, biases N(0, σ_b²), the input's weights scaled to q*.

    `gain` is the σ_w that the network's `critical` finds from `q_star` or `sigma_w`; any other is refused. With
    `normalise_input` the input's weights are from `base` too, times one number such that E[(U x)²] over units and
    the probe's examples is `drive`: an MLP's Ux + a has variance q*, and so has every pre-activation after it.
    Otherwise they stay as the network drew them. Pennington, Schoenholz and Ganguli 2017; Sokół and Park 2018.
    """

    def __init__(
        self,
        gain: float,
        q_star: float | None = None,
        sigma_w: float | None = None,
        base: Literal["orthogonal", "gaussian"] = "orthogonal",
        normalise_input: bool = True,
    ) -> None:
        self.name, self.gain, self.ensemble = "critical", gain, base
        self.asked = {"q_star": q_star, "sigma_w": sigma_w, "base": base}
        self.asked["normalise_input"] = normalise_input
        given = {name: value for name, value in self.asked.items() if value is not None}
        self.options = {"gain": gain} | given

    def __call__(self, w: Tensor) -> Tensor:
        return BASES[self.ensemble](w, self.gain)

    def point(self, net: Network) -> Point:
        """Where `net` is to be; raises ValueError unless `gain` is its σ_w, and ConfigError where there is none."""
        found = point(net, **self.asked)
        if abs(self.gain / found.sigma_w - 1) > 1e-6:
            reason = "init=critical finds it from init.q_star or init.sigma_w"
            raise ValueError(f"gain must be {found.sigma_w:.8g}, got {self.gain:g}: {reason}")
        return found

    @torch.no_grad()
    def finish_(self, net: Network, x: Tensor) -> None:
        """Biases, and on the inputs x the scale of the input's weights; the kernels are set."""
        at, x = self.point(net), x.to(next(net.parameters()))  # not yet on the data's device
        for bias in net.biases():
            bias.normal_(0, at.sigma_b)
        if at.drive is not None:
            for entry, signals in net.entries(x):
                u = BASES[self.ensemble](entry.weight)
                u.mul_((at.drive / linear(signals, u).square().mean()).sqrt())


def point(
    net: Network,
    q_star: float | None,
    sigma_w: float | None,
    base: Weights,
    normalise_input: bool,
) -> Point:
    """The critical point that is asked for, of this network; raises ConfigError where there is none."""
    try:
        if q_star is not None and sigma_w is not None:
            raise ValueError("q_star and sigma_w each give the other: set one of them")
        return net.critical(q_star, sigma_w, normalise_input, base)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"init=critical: {error}") from None


def gain(model: Callable[..., Network], **asked: Any) -> float:
    """σ_w of a model that is yet to be built."""
    with torch.device("meta"):
        try:
            net = model(n_in=1, n_out=1, length=1)
        except ValueError as error:
            options = inspect.signature(getattr(model, "func", model)).parameters
            raise ConfigError(refusal("model", error, options)) from None
    return point(net, **asked).sigma_w
