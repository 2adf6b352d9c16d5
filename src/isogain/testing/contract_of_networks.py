"""The contract of a network: a subclass of `Network`, or a partial of one with its options."""

import inspect
from collections.abc import Callable

from isogain.models.base import Network
from isogain.testing import network_laws, recurrent_laws
from isogain.testing.contract import Clause, check, name_of
from isogain.testing.small_network import small


def check_network(build: Callable[..., Network]) -> None:
    """Holds `build`, called with n_in, n_out, length and hidden, to the contract of a network.

    `forward` equals the readout of the trajectory in value and gradient; examples do not see each other; kernels are
    parameters (..., n, k); sizes below 1 are refused; it can be built on the meta device. Of `sequential` ones too: a
    trajectory can be cut and taken up again, at any length, and where it has the option `per_step`, an answer at a
    step is that to the sequence up to there.

    Raises AssertionError with one line: which law, what was expected and what came.

    >>> from isogain.models import MLP
    >>> check_network(MLP)
    >>> class Noisy(MLP):
    ...     def forward(self, x):
    ...         return super().forward(x) + 0.1
    >>> check_network(Noisy)
    Traceback (most recent call last):
    AssertionError: Noisy breaks the law "forward is the readout of the trajectory in value and gradient": expected
    the trajectory's logits and gradients at T=1, B=1, got a difference of 0.1
    """
    check(network_contract(build))


def network_contract(build: Callable[..., Network]) -> list[Clause]:
    """The clauses of `check_network`, to be parametrised over.

    >>> from isogain.models import MLP, RNN
    >>> len(network_contract(RNN)) - len(network_contract(MLP))
    4
    """
    laws = [*network_laws.LAWS]
    if small(build).sequential:
        laws += recurrent_laws.LAWS
        if "per_step" in inspect.signature(build).parameters:
            laws += recurrent_laws.OF_PER_STEP
    return [Clause(name_of(build), law, (build,)) for law in laws]
