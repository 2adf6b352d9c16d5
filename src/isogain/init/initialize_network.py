"""`isogain.initialize`: the kernels of any network by pattern, at a number or at the critical point of theory."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from isogain.config.ranges import positive
from isogain.init.fill_view import fill_matrices_
from isogain.init.following_activation import Unread, following_activation
from isogain.init.initialiser import as_initialiser
from isogain.init.matched_kernels import (
    MatchedKernel,
    Patterns,
    matched_kernels,
    takes,
    unwrapped,
)
from isogain.reg.kernel_views import Blocks, Function
from isogain.theory import critical_point
from isogain.theory.critical_point import SCALE_FREE, Point
from isogain.theory.gaussian import Phi, named

Activations = Phi | Mapping[str, Phi]
Fill = Callable[..., Tensor]


def initialize(
    net: nn.Module,
    init: Fill,
    gain: float | Literal["critical"] | None = None,
    match: Patterns | None = None,
    *,
    activation: Activations | None = None,
    q_star: float | None = None,
    sigma_w: float | None = None,
    view: Function | None = None,
    blocks: Blocks | None = None,
) -> dict[str, float]:
    """Fills the kernels of `net` by `init`, (w, gain) -> w in place, and returns the gain of each by its name.

    Without `match` the kernels are the weights of nn.Linear and convolutions, the hidden-to-hidden weights of nn.RNN,
    nn.GRU and nn.LSTM, a matrix a gate, and in_proj_weight of nn.MultiheadAttention, three matrices. `match`:
    patterns (fnmatch) of parameter names; vectors that they take stay. `view` and `blocks` are those of
    `orthogonal_`, for all kernels; a convolution (O, I, k, k) needs a view. Shared weights are drawn once,
    parametrised ones set through their parametrisation.

    `gain`: a number, None for that of `init` itself, or "critical": σ_w with χ = 1 at q*, given by `q_star` or
    `sigma_w` (neither: q* = 1/64), for the activation that follows the kernel. Biases of these layers are then drawn
    from N(0, σ_b²), in a recurrence bias_ih, while bias_hh is 0. The input is left as it is: theory holds for
    pre-activations of variance q*. A tall orthogonal kernel (n > k) brings k/n of the variance of a square one. Where
    the structure does not say which activation follows, pass `activation`: a name, a function, or {pattern: either}.

    Raises ValueError where a pattern takes nothing, an activation cannot be read, there is no critical point, or a
    parametrisation cannot be set, and TypeError for sharded, lazy and complex weights. Pennington, Schoenholz and
    Ganguli 2017, "Resurrecting the sigmoid", section 2.

    >>> from isogain.init import orthogonal_
    >>> net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh())
    >>> gains = initialize(net, orthogonal_, gain="critical", q_star=0.5)
    >>> {name: round(gain, 4) for name, gain in gains.items()}
    {'0.weight': 1.4142, '2.weight': 1.2992}
    """
    net = unwrapped(net)
    kernels = matched_kernels(net, match, view, blocks)
    if gain == "critical":
        _check_ensemble(init)
        points = _points(net, kernels, activation, q_star, sigma_w)
    else:
        _refuse_idle(activation=activation, q_star=q_star, sigma_w=sigma_w)
        number = as_initialiser(init).gain if gain is None else positive("gain", gain)
        points = {kernel.name: Point(number) for kernel in kernels}
    given = None if gain is None else {name: point.sigma_w for name, point in points.items()}
    fills = {k.name: _fill(init, None if given is None else given[k.name]) for k in kernels}
    _set_(kernels, fills)
    if gain == "critical":
        for kernel in kernels:
            _draw_biases_(kernel, points[kernel.name].sigma_b)
    return {name: point.sigma_w for name, point in points.items()}


def _fill(init: Fill, gain: float | None) -> Callable[[Tensor], Tensor]:
    """`init` at this gain, None being its own."""
    if gain is None:
        return init
    if "gain" not in inspect.signature(init).parameters:
        raise ValueError(f"{as_initialiser(init).name} takes no gain: pass gain=None")
    return partial(init, gain=gain)


def _check_ensemble(init: Fill) -> None:
    ensemble = as_initialiser(init).ensemble
    if ensemble not in ("orthogonal", "gaussian"):
        raise ValueError(
            f'gain="critical" is of orthogonal_ and gaussian_: pass a number for {ensemble}_'
        )


def _refuse_idle(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f'{name} is an option of gain="critical": leave it out')


def _points(
    net: nn.Module,
    kernels: list[MatchedKernel],
    activation: Activations | None,
    q_star: float | None,
    sigma_w: float | None,
) -> dict[str, Point]:
    """The critical point of every kernel, for the activation that follows it."""
    if q_star is not None and sigma_w is not None:
        raise ValueError("q_star and sigma_w each give the other: set one of them")
    given = activation if isinstance(activation, Mapping) else {}
    for pattern in given:
        if not any(takes(pattern, kernel.name) for kernel in kernels):
            raise ValueError(f"activation={{{pattern!r}: ...}} takes none of the kernels")
    phis = {kernel.name: _activation(net, kernel, activation) for kernel in kernels}
    scaled = any(phi not in SCALE_FREE for phi in phis.values())
    return {
        name: _point(name, phi, q_star, None if scaled and phi in SCALE_FREE else sigma_w)
        for name, phi in phis.items()
    }


def _activation(net: nn.Module, kernel: MatchedKernel, given: Activations | None) -> Phi:
    """As it is given, else as it is read; raises ValueError that says what to pass."""
    if isinstance(given, Mapping):
        for pattern, phi in given.items():
            if takes(pattern, kernel.name):
                return phi
    elif given is not None:
        return given
    try:
        phis = {following_activation(net, *place) for place in kernel.places}
        if len(phis) > 1:
            raise Unread(f"it is shared, and followed by {', '.join(sorted(map(named, phis)))}")
    except Unread as error:
        way = f'pass activation={{"{kernel.name}": "tanh"}}, a number for gain, or leave it out'
        raise ValueError(f"the activation after {kernel.name} is unknown, {error}: {way}") from None
    return phis.pop()


def _point(name: str, phi: Phi, q_star: float | None, sigma_w: float | None) -> Point:
    try:
        return critical_point.layers(phi, q_star, sigma_w, normalise_input=True)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from None


@torch.no_grad()
def _set_(kernels: list[MatchedKernel], fills: dict[str, Callable[[Tensor], Tensor]]) -> None:
    """Parametrised ones first: only these can refuse, and are then put back."""
    for kernel in sorted(kernels, key=lambda kernel: not kernel.is_parametrized):
        if kernel.is_parametrized:
            _set_through_parametrization_(kernel, fills[kernel.name])
        else:
            fill_matrices_(kernel.weight, fills[kernel.name], kernel.view)


def _set_through_parametrization_(kernel: MatchedKernel, fill: Callable[[Tensor], Tensor]) -> None:
    """Raises ValueError where it cannot be inverted, or does not have the weight that it was set to."""
    (module, name), before = kernel.places[0], kernel.weight.clone()
    fill_matrices_(w := before.clone(), fill, kernel.view)
    state = {k: v.clone() for k, v in module.state_dict().items()}
    try:
        setattr(module, name, w)
        kept = torch.allclose(getattr(module, name), w, rtol=1e-3, atol=1e-4)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        module.load_state_dict(state)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{kernel.name} is parametrised and cannot be set ({reason}): initialise it before"
        ) from None
    if not kept:
        module.load_state_dict(state)
        raise ValueError(
            f"{kernel.name} is parametrised by what does not keep this matrix: initialise it before"
        )


@torch.no_grad()
def _draw_biases_(kernel: MatchedKernel, sigma_b: float) -> None:
    """N(0, σ_b²) on the bias beside each place of a kernel: of a recurrence on bias_ih, while bias_hh is 0."""
    for module, name in kernel.places:
        biases = [name.replace("weight_hh", f"bias_{end}") for end in ("ih", "hh")]
        own = ["bias"] if name == "weight" else biases if name.startswith("weight_hh") else []
        for i, bias in enumerate(getattr(module, b, None) for b in own):
            if isinstance(bias, Tensor):
                bias.normal_(0, sigma_b) if i == 0 else bias.zero_()
