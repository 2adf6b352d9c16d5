"""What a network reads of stored images, a batch at a time.

Axes: B images, F features: pixels, each with its C channels side by side.
"""

from typing import Literal

import torch
from torch import Tensor

from isogain.data.batches import View

Inputs = Literal["pixels", "normalised", "whitened"]
RIDGE = 1e-2  # of the mean variance: what varies less is not blown up to as much as the rest
CHUNK = 4096  # images at once


def view_of(inputs: Inputs, x: Tensor, channels: int, device: torch.device | str = "cpu") -> View:
    """The view on `device` of images like the training images x (B, F) of uint8."""
    if inputs == "whitened":
        return whitened(x, device)
    return normalised(x, channels, device) if inputs == "normalised" else pixels


def pixels(x: Tensor) -> Tensor:
    """Grey levels in [0, 1]."""
    return x.float().div_(255)  # x / 255 converts an entry at a time: twice the time


def normalised(x: Tensor, channels: int, device: torch.device | str = "cpu") -> View:
    """Mean 0 and variance 1 over the training images, a channel each; a channel that is constant is 0."""
    level = torch.arange(256, dtype=torch.float64)
    planes = x.unflatten(-1, (-1, channels)).unbind(-1)
    shares = [plane.flatten().bincount(minlength=256).double() / plane.numel() for plane in planes]
    mean = torch.stack([share @ level for share in shares])
    variance = torch.stack([share @ level.square() for share in shares]) - mean.square()
    shift, scale = (t.float().to(device) for t in (mean, variance.clamp(min=1e-6).rsqrt()))

    def view(x: Tensor) -> Tensor:
        return x.float().unflatten(-1, (-1, channels)).sub_(shift).mul_(scale).flatten(-2)

    return view


def whitened(x: Tensor, device: torch.device | str = "cpu") -> View:
    """(Σ + ε)^−½ (x − mean) at unit length: as small a signal in every direction as critical networks ask for.

    Σ is the covariance of the training images, ε its mean eigenvalue / 100.
    """
    mean = sum(part.double().sum(0) for part in x.split(CHUNK)) / len(x)
    centred = (part.double() - mean for part in x.split(CHUNK))
    variances, axes = torch.linalg.eigh(sum(part.mT @ part for part in centred) / len(x))
    scale = (variances.clamp(min=0) + RIDGE * variances.mean()).rsqrt()
    shift, zca = (t.float().to(device) for t in (mean, (axes * scale) @ axes.mT))

    def view(x: Tensor) -> Tensor:
        return torch.nn.functional.normalize(x.float().sub_(shift) @ zca, dim=-1)

    return view
