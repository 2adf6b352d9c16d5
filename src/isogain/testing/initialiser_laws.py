"""What an initialiser owes: every matrix of a stack is filled in place, in proportion to its gain.

A kernel is (..., n, k).
"""

import math
from functools import partial

import torch
from torch import Tensor

from isogain.testing.expectations import expect, expect_close, expect_refusal
from isogain.testing.initialiser_case import InitialiserCase, Shape

HALF = (torch.bfloat16, torch.float16)


def _empty(shape: Shape, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.full(shape, torch.nan, dtype=dtype)


def _matrices(w: Tensor) -> Tensor:
    return w.detach().reshape(-1, *w.shape[-2:])


def it_fills_its_argument_and_returns_it(case: InitialiserCase, shape: Shape) -> None:
    w = _empty(shape).requires_grad_()
    expect(case.init(w) is w, "the same tensor, returned", "another")
    expect(torch.isfinite(w).all(), "finite entries", "NaN or inf among them")
    kept = w.is_leaf and w.requires_grad and w.shape == shape
    expect(kept, f"a leaf of shape {shape} with requires_grad", f"shape {tuple(w.shape)}")


def it_fills_a_view_and_nothing_beside_it(case: InitialiserCase, shape: Shape) -> None:
    """Every second column of a wider storage, and a transposed one."""
    storage = torch.zeros(*shape[:-1], 2 * shape[-1], dtype=torch.float64)
    case.init(storage[..., ::2])
    expect(storage[..., ::2].any(), "a view that is filled", "one that is zero")
    expect(not storage[..., 1::2].any(), "zeros beside the view", "other entries")
    turned = _empty((*shape[:-2], shape[-1], shape[-2]))
    case.init(turned.mT)
    expect(turned.isfinite().all(), "a transposed view that is filled", "NaN in it")


def gain_scales_the_draw(case: InitialiserCase, shape: Shape) -> None:
    draws = []
    for gain in (1.0, 2.5):
        torch.manual_seed(1)
        draws.append(case.with_gain(gain)(_empty(shape)))
    expect_close(draws[1], 2.5 * draws[0], "2.5 times the draw of gain 1", rtol=1e-11)


def the_draw_follows_the_global_generator(case: InitialiserCase, shape: Shape) -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(case.init(_empty(shape)))
    expect(torch.equal(*draws), "the same draw from the same seed", "another")


def matrices_of_a_stack_are_separate_draws(case: InitialiserCase, shape: Shape) -> None:
    stack = _matrices(case.init(_empty((4, *shape[-2:]))))
    for i, a in enumerate(stack):
        apart = all(bool((a - b).abs().max() > 1e-3) for b in stack[:i])
        expect(apart, f"4 different matrices {shape[-2:]}", "two that are equal")


def every_matrix_is_gain_times_orthogonal(case: InitialiserCase, shape: Shape) -> None:
    s = torch.linalg.svdvals(case.with_gain(1.3)(_empty(shape)))
    expect_close(s, torch.full_like(s, 1.3), "every singular value at the gain 1.3", rtol=1e-11)


def half_precision_is_filled_in_its_own_type(case: InitialiserCase, shape: Shape) -> None:
    for dtype in HALF:
        w = _empty(shape, dtype)
        expect(case.init(w) is w, f"the same tensor of {dtype}, returned", "another")
        expect(w.isfinite().all(), f"finite entries in {dtype}", "NaN or inf among them")


def a_stack_of_any_size_is_filled_and_what_has_no_entries_stays(case: InitialiserCase) -> None:
    """Also 1 × 1, a single row or column, and stacks without matrices."""
    few = [(1, 1), (3, 1, 1), (1, 5), (5, 1)]
    for shape in [*few, (0, 5), (5, 0), (0, 0), (0, 4, 4), (2, 0, 4), (3, 4, 0), (2, 0, 3, 3)]:
        for dtype in (torch.float64, *HALF):
            w = _empty(shape, dtype)
            expect(case.init(w) is w, f"{shape} of {dtype}, returned", "another tensor")
            expect(w.isfinite().all(), f"{shape} of {dtype}, filled", "NaN or inf in it")


def a_gain_out_of_range_is_refused_by_name(case: InitialiserCase) -> None:
    """By its class, or when it is called."""
    for gain in (0, -1.0, math.nan, math.inf):
        expect_refusal(
            lambda gain=gain: case.with_gain(gain)(_empty((3, 3))),  # type: ignore[misc]
            "gain must be ",
            f"gain={gain}",
        )


def what_is_no_stack_of_real_matrices_is_refused(case: InitialiserCase) -> None:
    scalars = [torch.zeros(5), torch.tensor(1.0)]
    others = [torch.int64, torch.complex64, torch.bool]
    for w in [*scalars, *(torch.zeros(2, 2, dtype=dtype) for dtype in others)]:
        expect_refusal(partial(case.init, w), "", f"shape {tuple(w.shape)} of {w.dtype}")


OF_A_SHAPE = (
    it_fills_its_argument_and_returns_it,
    it_fills_a_view_and_nothing_beside_it,
    the_draw_follows_the_global_generator,
    half_precision_is_filled_in_its_own_type,
)
OF_ITS_GAIN = (gain_scales_the_draw,)
OF_THE_CLASS = (
    a_stack_of_any_size_is_filled_and_what_has_no_entries_stays,
    what_is_no_stack_of_real_matrices_is_refused,
)
