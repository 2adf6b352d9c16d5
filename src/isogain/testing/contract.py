"""A contract is a list of clauses: one law each, of one class, on one shape."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

SEED = 0


@dataclass(frozen=True)
class Clause:
    """The law of a contract on the class `subject`, at the shape or size `where`; "" where the law has none.

    Called, it draws from a generator of seed 0 and leaves the global one as it was. Raises AssertionError with one
    line where the law is broken, also where the class raises what it should not.

    >>> from isogain.testing.expectations import expect
    >>> def a_sum_is_odd(a, b):
    ...     expect((a + b) % 2 == 1, "an odd number", a + b)
    >>> Clause("Sum", a_sum_is_odd, (1, 3), "1x3")()
    Traceback (most recent call last):
    AssertionError: Sum breaks the law "a sum is odd" at 1x3: expected an odd number, got 4
    """

    subject: str
    law: Callable[..., None]
    arguments: tuple[Any, ...] = ()
    where: str = ""

    @property
    def name(self) -> str:
        """The law and where it is tried, as the id of a test case."""
        return "-".join(part for part in (self.law.__name__, self.where) if part)

    def __call__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(SEED)  # of the CPU alone: the others are not forked
            try:
                self.law(*self.arguments)
            except Exception as error:  # whatever the class raises breaks the law
                raise AssertionError(self._breach(error)) from error

    def _breach(self, error: Exception) -> str:
        """One line: whose law, which, where, and why."""
        law = self.law.__name__.strip("_").replace("_", " ")
        at = f" at {self.where}" if self.where else ""
        first = (str(error).strip() or "no message").splitlines()[0]
        reason = first if isinstance(error, AssertionError) else f"{type(error).__name__}: {first}"
        return f'{self.subject} breaks the law "{law}"{at}: {reason}'


def check(clauses: Iterable[Clause]) -> None:
    """Every clause holds; raises the AssertionError of the first that does not."""
    for clause in clauses:
        clause()


def label(shape: Iterable[int]) -> str:
    """A shape in the id of a test case.

    >>> label((4, 6, 6))
    '4x6x6'
    """
    return "x".join(map(str, shape))


def name_of(build: Any) -> str:
    """What a class, a function, a partial of one or an object is called in a message.

    >>> from functools import partial
    >>> name_of(partial(int, base=2)), name_of(torch.eye(2))
    ('int', 'Tensor')
    """
    whole = getattr(build, "func", build)
    return getattr(whole, "__name__", type(whole).__name__)
