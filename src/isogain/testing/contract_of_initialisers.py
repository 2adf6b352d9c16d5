"""The contract of an initialiser: a function (w, gain=1.0, ...) -> w, a partial of one, an object, or its class."""

from collections.abc import Callable, Sequence
from typing import Any

from isogain.testing import initialiser_laws as laws
from isogain.testing.contract import Clause, check, label, name_of
from isogain.testing.initialiser_case import InitialiserCase, Shape
from isogain.testing.regularizer_case import SHAPES


def check_initialiser(
    init: Callable[..., Any],
    *,
    shapes: Sequence[Shape] = SHAPES,
    orthogonal: bool = False,
    random: bool = True,
) -> None:
    """Holds `init` to its contract: it fills stacks of matrices of any shape and precision, and views of them.

    The draw is in proportion to `gain`, where it is an option, and follows the global generator. `orthogonal`: every
    matrix has all singular values at the gain. `random=False` leaves out that matrices of a stack differ.

    Raises AssertionError with one line: which law, at which shape, what was expected and what came.

    >>> from isogain.init import orthogonal_
    >>> check_initialiser(orthogonal_, shapes=[(5, 3)], orthogonal=True)
    >>> def twice_(w, gain=1.0):
    ...     return orthogonal_(w, 2 * gain)
    >>> check_initialiser(twice_, shapes=[(5, 3)], orthogonal=True)
    Traceback (most recent call last):
    AssertionError: twice_ breaks the law "every matrix is gain times orthogonal" at 5x3: expected every singular value
    at the gain 1.3, got a difference of 1.3
    """
    check(initialiser_contract(init, shapes=shapes, orthogonal=orthogonal, random=random))


def initialiser_contract(
    init: Callable[..., Any],
    *,
    shapes: Sequence[Shape] = SHAPES,
    orthogonal: bool = False,
    random: bool = True,
) -> list[Clause]:
    """The clauses of `check_initialiser`, to be parametrised over.

    >>> from isogain.init import orthogonal_
    >>> initialiser_contract(orthogonal_, shapes=[(5, 3)])[0].name
    'it_fills_its_argument_and_returns_it-5x3'
    """
    case, name = InitialiserCase(init), name_of(init)
    of_a_shape: list[Callable[..., None]] = list(laws.OF_A_SHAPE)
    of_the_class: list[Callable[..., None]] = list(laws.OF_THE_CLASS)
    if case.has_gain:
        of_a_shape += laws.OF_ITS_GAIN
        of_the_class.append(laws.a_gain_out_of_range_is_refused_by_name)
    if orthogonal:
        of_a_shape.append(laws.every_matrix_is_gain_times_orthogonal)
    if random:
        of_a_shape.append(laws.matrices_of_a_stack_are_separate_draws)
    each = [
        Clause(name, law, (case, s), label(s)) for law in of_a_shape for s in map(tuple, shapes)
    ]
    return [*each, *(Clause(name, law, (case,)) for law in of_the_class)]
