"""One formula for numbers and for grids: tensors broadcast and give tensors in float64, numbers give numbers."""

from collections.abc import Callable

import torch
from torch import Tensor

Number = float | Tensor


def check(**numbers: Number) -> None:
    """Raise ValueError unless all are finite and >= 0."""
    for name, value in numbers.items():
        value = torch.as_tensor(value, dtype=torch.float64)
        bad = value[~((value >= 0) & value.isfinite())]
        if len(bad):
            raise ValueError(f"{name} must be a finite number >= 0, got {bad[0]:g}")


def each(f: Callable[..., Tensor], *numbers: Number) -> Number | list[float]:
    """f of flat float64 tensors (n,), in the shape that the numbers broadcast to; f may give several rows (k, n)."""
    tensors = torch.broadcast_tensors(*(torch.as_tensor(n, dtype=torch.float64) for n in numbers))
    values = f(*(t.flatten() for t in tensors))
    values = values.view((*values.shape[:-1], *tensors[0].shape))
    return values if any(isinstance(n, Tensor) for n in numbers) else values.tolist()


def one_by_one(f: Callable[..., float], *numbers: Number) -> Number:
    """f of Python numbers, over all that the numbers broadcast to."""

    def rows(*tensors: Tensor) -> Tensor:
        return torch.tensor(
            [f(*row) for row in zip(*(t.tolist() for t in tensors), strict=True)],
            dtype=torch.float64,
        )

    return each(rows, *numbers)
