"""The contract of a regulariser: what it owes to every shape of kernel and every optimiser."""

from collections.abc import Callable, Sequence
from typing import Any

from isogain.reg.base import Regularizer
from isogain.testing import moment_laws, penalty_laws
from isogain.testing.contract import Clause, check, label, name_of
from isogain.testing.regularizer_case import (
    SHAPES,
    Draw,
    RegularizerCase,
    Shape,
    as_builder,
)

Law = Callable[..., None]


def check_regularizer(
    reg: Regularizer | Callable[[], Regularizer],
    *,
    shapes: Sequence[Shape] = SHAPES,
    target: Draw | None = None,
    least: Draw | None = None,
    smooth: bool = True,
) -> None:
    """Holds `reg` (a class, a partial or function that builds one, or an instance, which is copied) to its contract.

    At each of its four moments it acts on square, tall, wide and batched kernels in float64: a kernel at its target is
    attached where it is, and stays; `before_step` edits the gradient alone; two steps of SGD, Adam and RMSprop
    lower a loss; matrices of a stack do not see each other. A penalty is least at its target and has its own
    gradient. `target(shape)` draws a kernel at the target, `least(shape)` one where the penalty is least (None: g
    times orthogonal, and `target`); `smooth=False` leaves out that the penalty's slope vanishes there.

    Raises AssertionError with one line: which law, at which shape, what was expected and what came.

    >>> from isogain.reg import Soft
    >>> check_regularizer(Soft, shapes=[(5, 5)])
    >>> class Shrinking(Soft):
    ...     def after_step(self, w, state):
    ...         w.mul_(0.5)
    >>> check_regularizer(Shrinking, shapes=[(5, 5)])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: Shrinking breaks the law "a kernel at its target stays there when the loss is flat" at 5x5:
    expected a kernel that stays where it is, got a difference of 0...
    """
    check(regularizer_contract(reg, shapes=shapes, target=target, least=least, smooth=smooth))


def regularizer_contract(
    reg: Regularizer | Callable[[], Regularizer],
    *,
    shapes: Sequence[Shape] = SHAPES,
    target: Draw | None = None,
    least: Draw | None = None,
    smooth: bool = True,
) -> list[Clause]:
    """The clauses of `check_regularizer`, to be parametrised over.

    >>> from isogain.reg import Stiefel
    >>> regularizer_contract(Stiefel, shapes=[(5, 5)])[0].name
    'a_kernel_at_its_target_is_attached_where_it_is-5x5'
    """
    options: dict[str, Any] = {"target": target, "least": least, "smooth": smooth}
    return [
        *moment_contract(reg, shapes=shapes, **options),
        *penalty_contract(reg, shapes=shapes, **options),
    ]


def moment_contract(
    reg: Regularizer | Callable[[], Regularizer],
    *,
    shapes: Sequence[Shape] = SHAPES,
    **options: Any,
) -> list[Clause]:
    """The part that is about attach, before_step and after_step."""
    case = RegularizerCase(as_builder(reg), **options)
    left_out: set[Law] = set()
    if not case.smooth:
        left_out.add(moment_laws.a_kernel_at_its_target_stays_there_when_the_loss_is_flat)
    if case.target is not None:
        left_out.add(moment_laws.the_gain_is_that_of_the_target)
    laws = [law for law in moment_laws.OF_A_SHAPE if law not in left_out]
    return _clauses(reg, case, laws, moment_laws.OF_THE_CLASS, shapes)


def penalty_contract(
    reg: Regularizer | Callable[[], Regularizer],
    *,
    shapes: Sequence[Shape] = SHAPES,
    **options: Any,
) -> list[Clause]:
    """The part that is about `penalty`; of a regulariser without one, that it has none."""
    case = RegularizerCase(as_builder(reg), **options)
    built = case.build()
    left_out: set[Law] = set()
    if not case.smooth:
        left_out.add(penalty_laws.a_smooth_penalty_has_no_slope_at_its_target)
    if not built.adds_penalty_gradient:
        left_out.add(penalty_laws.before_step_adds_the_gradient_of_the_penalty)
    laws = [law for law in penalty_laws.OF_A_SHAPE if law not in left_out]
    none = [penalty_laws.without_a_penalty_the_value_is_zero_and_no_gradient_is_claimed]
    return _clauses(reg, case, laws if built.has_penalty else [], none, shapes)


def _clauses(
    reg: Any,
    case: RegularizerCase,
    of_a_shape: Sequence[Law],
    of_the_class: Sequence[Law],
    shapes: Sequence[Shape],
) -> list[Clause]:
    """One a law and shape, then one a law."""
    name = name_of(reg)
    each = [
        Clause(name, law, (case, tuple(shape)), label(shape))
        for law in of_a_shape
        for shape in shapes
    ]
    return [*each, *(Clause(name, law, (case,)) for law in of_the_class)]
