"""Orthogonal kernels by a parametrisation from the Lie algebra: W = g·B·exp(A) or g·B·cayley(A), A skew."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.parametrize import register_parametrization

from isogain.config.ranges import positive
from isogain.linalg import polar
from isogain.linalg.half import HALF, at_least_single
from isogain.reg.base import Regularizer, parametrization

MAPS = {"exp": "matrix_exp", "cayley": "cayley"}


class Lie(Regularizer):
    """The optimiser moves a skew A, the network sees W = g·B·map(A) with the initial W = g·B at A = 0.

    Torch's own `parametrizations.orthogonal`, for comparison with expRNN and scoRNN; map is exp or
    cayley(A) = (I − A/2)⁻¹(I + A/2). W is computed once a step. Lezcano-Casado and Martínez-Rubio
    2019; Helfrich, Willmott and Ye 2018; Lezcano-Casado 2019 for the base point B.

    >>> layer = nn.Linear(3, 3)
    >>> Lie(gain=2.0).attach(layer, "weight")
    >>> torch.allclose(layer.weight.mT @ layer.weight, 4 * torch.eye(3), atol=1e-5)
    True
    """

    sets_size = True
    reparametrizes = True

    def __init__(self, gain: float = 1.0, map: Literal["exp", "cayley"] = "exp") -> None:
        super().__init__()
        self.gain, self.map = positive("gain", gain), map

    @torch.no_grad()
    def attach(self, module: nn.Module, name: str) -> None:
        w = getattr(module, name)
        base = polar(at_least_single(w))
        if base.dtype != w.dtype:
            setattr(module, name, nn.Parameter(base))  # LAPACK takes no half precision
        orthogonal(module, name, orthogonal_map=MAPS[self.map])
        chain = parametrization(module, name)
        chain[0] = Apart(chain[0]) if self.map == "cayley" else InSingle(chain[0])
        register_parametrization(module, name, Times(self.gain))
        setattr(module, name, base * self.gain)  # through both, so that B is the initial weight
        chain.to(w.dtype)


class InSingle(nn.Module):
    """Torch's parametrisation by the exponential, in float32 where X is in half precision: there it differentiates to
    NaN. Its state has torch's names.
    """

    base: Tensor

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self._whole: list[Any] = [whole]  # in a list: no submodule
        self.register_buffer("base", self._whole[0].base)

    def forward(self, x: Tensor) -> Tensor:
        base = {"base": at_least_single(self.base)}
        return functional_call(self._whole[0], base, at_least_single(x)).to(x.dtype)

    def right_inverse(self, w: Tensor) -> Tensor:
        (whole,) = self._whole
        whole.base = self.base
        x = whole.right_inverse(w)
        self.base = whole.base
        return x


class Apart(nn.Module):
    """Torch's parametrisation of a stack by Cayley's map, a matrix at a time on a CPU: `linalg.solve` says why."""

    whole: Any  # torch's class, which is private

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype in HALF:
            base = {"whole.base": self.whole.base.float()}
            return functional_call(self, base, x.float()).to(x.dtype)
        if not x.is_cpu or x.dim() == 2:
            return self.whole(x)
        pairs = zip(self.whole.base, x, strict=True)
        return torch.stack([functional_call(self, {"whole.base": base}, y) for base, y in pairs])

    def right_inverse(self, w: Tensor) -> Tensor:
        return self.whole.right_inverse(w)


class Times(nn.Module):
    """V -> g·V."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, v: Tensor) -> Tensor:
        return v * self.gain

    def right_inverse(self, w: Tensor) -> Tensor:
        return w / self.gain
