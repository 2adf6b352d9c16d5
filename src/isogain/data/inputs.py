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


def view_of(inputs: Inputs, x: Tensor, channels: int) -> View:
    """The view of images like the training images x (B, F) of uint8."""
    if inputs == "whitened":
        return whitened(x)
    return normalised(x, channels) if inputs == "normalised" else pixels


def pixels(x: Tensor) -> Tensor:
    """Grey levels in [0, 1]."""
    return x / 255


def normalised(x: Tensor, channels: int) -> View:
    """Mean 0 and variance 1 over the training images, a channel each."""
    level = torch.arange(256, dtype=torch.float64)
    shares = [c.flatten().bincount(minlength=256) / c.numel() for c in _by_channel(x, channels)]
    means = torch.stack([share.double() @ level for share in shares])
    squares = torch.stack([share.double() @ level.square() for share in shares])
    mean, deviation = means, (squares - means.square()).sqrt()

    def view(x: Tensor) -> Tensor:
        levels = x.unflatten(-1, (-1, channels))
        return (
            (levels - mean.to(x.device, torch.float32)) / deviation.to(x.device, torch.float32)
        ).flatten(-2)

    return view


def whitened(x: Tensor) -> View:
    """(Σ + ε)^−½ (x − mean) at unit length: as small a signal in every direction as critical networks ask for.

    Σ is the covariance of the training images, ε its mean eigenvalue / 100.
    """
    mean = sum(part.double().sum(0) for part in x.split(CHUNK)) / len(x)
    centred = (part.double() - mean for part in x.split(CHUNK))
    variances, axes = torch.linalg.eigh(sum(part.mT @ part for part in centred) / len(x))
    scale = (variances.clamp(min=0) + RIDGE * variances.mean()).rsqrt()
    zca = ((axes * scale) @ axes.mT).float()

    def view(x: Tensor) -> Tensor:
        y = (x - mean.to(x.device, torch.float32)) @ zca.to(x.device)
        return torch.nn.functional.normalize(y, dim=-1)

    return view


def _by_channel(x: Tensor, channels: int) -> tuple[Tensor, ...]:
    return x.unflatten(-1, (-1, channels)).unbind(-1)
