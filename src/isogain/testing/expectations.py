"""What a law expects, as AssertionErrors of one line: what was expected, and what came."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

ROUNDING = 1e-12  # of a few hundred operations in float64


def expect(holds: bool | Tensor, expected: str, got: Any) -> None:
    """Raises AssertionError unless `holds`.

    >>> expect(1 > 2, "more than 2", 1)
    Traceback (most recent call last):
    AssertionError: expected more than 2, got 1
    """
    if not bool(holds):
        raise AssertionError(f"expected {expected}, got {got}")


def expect_close(
    actual: Tensor, wanted: Tensor, expected: str, atol: float = ROUNDING, rtol: float = 0.0
) -> None:
    """|actual − wanted| <= atol + rtol |wanted| in every entry; raises AssertionError otherwise, also for NaN.

    >>> expect_close(torch.ones(2), torch.zeros(2), "zeros")
    Traceback (most recent call last):
    AssertionError: expected zeros, got a difference of 1
    """
    shapes = tuple(actual.shape), tuple(wanted.shape)
    expect(shapes[0] == shapes[1], f"{expected}, of shape {shapes[1]}", f"shape {shapes[0]}")
    actual, wanted = actual.detach(), wanted.detach()
    difference = (actual - wanted).abs().nan_to_num(torch.inf)
    if not (difference <= atol + rtol * wanted.abs()).all():
        raise AssertionError(f"expected {expected}, got a difference of {difference.max():.3g}")


def expect_all_close(
    actual: Sequence[Tensor], wanted: Sequence[Tensor], expected: str, rtol: float = 1e-11
) -> None:
    """As `expect_close` with rounding's tolerance, tensor by tensor.

    >>> expect_all_close([torch.ones(2)], [torch.ones(2)], "ones")
    """
    expect(len(actual) == len(wanted), f"{len(wanted)} tensors: {expected}", f"{len(actual)}")
    for a, w in zip(actual, wanted, strict=True):
        expect_close(a, w, expected, rtol=rtol)


def expect_refusal(call: Callable[[], Any], starts: str, given: str) -> None:
    """`call` raises a ValueError of one line that begins with `starts`.

    >>> def root(x):
    ...     raise ValueError(f"x must be at least 0, got {x}")
    >>> expect_refusal(lambda: root(-1), "x must be ", "x=-1")
    """
    expected = f"a ValueError of one line for {given}" + (f', "{starts}..."' if starts else "")
    try:
        call()
    except ValueError as error:
        message = str(error)
        fits = message.startswith(starts) and len(message.splitlines()) == 1
        return expect(fits, expected, repr(message))
    except Exception as error:
        raise AssertionError(f"expected {expected}, got {type(error).__name__}") from error
    raise AssertionError(f"expected {expected}, got none")
