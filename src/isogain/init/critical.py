"""`init=critical`: a whole network on the critical line of mean-field theory, kernels, biases and input."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from isogain.config.errors import ConfigError, refusal
from isogain.init import gaussian_, orthogonal_
from isogain.theory.critical_point import Point
from isogain.theory.network import mean_field
from isogain.theory.prediction import Prediction
from isogain.theory.spectrum import Weights

if TYPE_CHECKING:  # a type alone: models are on a higher floor
    from isogain.models.base import Network

BASES = {"orthogonal": orthogonal_, "gaussian": gaussian_}


class Critical:
    """Kernels from `base` at the gain σ_w with χ = 1, biases N(0, σ_b²), the input's weights scaled to q*.

    `gain` is the σ_w that the network's `mean_field` finds from `q_star` or `sigma_w`; any other is refused. With
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
        self.asked: dict[str, Any] = {"q_star": q_star, "sigma_w": sigma_w, "base": base}
        self.asked["normalise_input"] = normalise_input
        given = {name: value for name, value in self.asked.items() if value is not None}
        self.options: Mapping[str, Any] = {"gain": gain} | given

    def __call__(self, w: Tensor) -> Tensor:
        return BASES[self.ensemble](w, self.gain)

    def point(self, net: "Network") -> Point:
        """Where `net` is to be; raises ValueError unless `gain` is its σ_w, and ConfigError where there is none."""
        at = point(net, **self.asked)
        if abs(self.gain / at.sigma_w - 1) > 1e-6:
            reason = "init=critical finds it from init.q_star or init.sigma_w"
            raise ValueError(f"gain must be {at.sigma_w:.8g}, got {self.gain:g}: {reason}")
        return at

    @torch.no_grad()
    def finish_(self, net: "Network", x: Tensor) -> None:
        """Biases, and on the inputs x the scale of the input's weights; the kernels are set."""
        at, x = self.point(net), x.to(next(net.parameters()))  # not yet on the data's device
        for bias in biases(net):
            bias.normal_(0, at.sigma_b)
        if at.drive is not None:
            for entry, signals in entries(net, x):
                u = BASES[self.ensemble](entry.weight)
                u.mul_((at.drive / linear(signals, u).square().mean()).sqrt())


def point(
    net: "Network",
    q_star: float | None,
    sigma_w: float | None,
    base: Weights,
    normalise_input: bool,
) -> Point:
    """The critical point that is asked for, of this network; raises ConfigError where there is none."""
    try:
        if q_star is not None and sigma_w is not None:
            raise ValueError("q_star and sigma_w each give the other: set one of them")
        theory = mean_field(net)
        if theory is None:
            raise ValueError(f"there is no mean-field theory of {type(net).__name__}")
        return theory.critical(q_star, sigma_w, normalise_input, base)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"init=critical: {error}") from None


def gain(model: Callable[..., "Network"], **asked: Any) -> float:
    """σ_w of a model that is yet to be built."""
    with torch.device("meta"):
        try:
            net = model(n_in=1, n_out=1, length=1)
        except ValueError as error:
            options = inspect.signature(getattr(model, "func", model)).parameters
            raise ConfigError(refusal("model", error, options)) from None
    return point(net, **asked).sigma_w


def predicted(net: "Network", at: Point, weights: Weights, x: Tensor) -> Prediction:
    """What theory says of this network at initialisation and on the inputs x; nothing where there is no theory."""
    theory = mean_field(net)
    return (
        Prediction({}) if theory is None else theory.predicted(at, weights, lambda: _drives(net, x))
    )


def drive(net: "Network", x: Tensor) -> float:
    """E[(U x)²] over units and the inputs x: what the first of `entries` adds to a pre-activation's variance."""
    return _drives(net, x).square().mean().item()


def biases(net: "Network") -> list[Tensor]:
    """The biases that mean-field theory draws: those of hidden units, but for an LSTM's, whose gates differ."""
    if net.gates:
        return []
    of: Any = net  # its layers are its own
    return [layer.bias for layer in of.input] if net.sequential else [of.input.bias, of.bias]


def entries(net: "Network", x: Tensor) -> Iterator[tuple[nn.Linear, Tensor]]:
    """The maps that are no kernels on the way to hidden units, each with all that it reads on the inputs x,
    (..., k), computed when it is asked for: a map may be changed before the next is taken.
    """
    of: Any = net
    if not net.sequential:
        yield of.input, x.flatten(1)
        return
    for layer, entry in enumerate(of.input):
        uses = [[m for m in maps if m.inputs] for maps, _ in net.steps(net.start(x), x)]
        yield entry, torch.stack([maps[layer].inputs[0] for maps in uses])


def _drives(net: "Network", x: Tensor) -> Tensor:
    """U x of the first of `entries`, (..., N)."""
    entry, signals = next(entries(net, x))
    return linear(signals, entry.weight)
