"""Cases that tests share: shapes, optimisers, and all that conf/ offers, found by globbing it."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from isogain.models.base import Network
from isogain.reg.base import Regularizer
from isogain.testing.regularizer_case import SHAPES as SHAPES
from isogain.testing.single_kernel import Kernel as Kernel
from isogain.testing.single_kernel import randn as randn
from isogain.testing.single_kernel import train_step as train_step
from isogain.testing.small_network import small as small

CONF = Path(__file__).parents[1] / "conf"

SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, fused=True)
ADAM = partial(torch.optim.Adam, lr=0.01, fused=True)
RMSPROP = partial(torch.optim.RMSprop, lr=0.01, momentum=0.9)
OPTIMIZERS = [
    pytest.param(SGD, id="sgd"),
    pytest.param(ADAM, id="adam"),
    pytest.param(RMSPROP, id="rmsprop"),
]


def covering(*axes: Sequence) -> list:
    """Every combination of the axes' values, all but a few of them slow: each value is in one that is not."""
    few = {tuple(axis[i % len(axis)] for axis in axes) for i in range(max(map(len, axes)))}
    slow = pytest.mark.slow
    return [pytest.param(*case, marks=() if case in few else slow) for case in product(*axes)]


def slow_but(cases: Iterable, *quick: int) -> list:
    """The cases, each a tuple of values, a value or a pytest.param; all are slow but those at these places."""
    found = []
    for place, case in enumerate(cases):
        if not hasattr(case, "marks"):
            case = pytest.param(*case) if isinstance(case, tuple) else pytest.param(case)
        marks = case.marks if place in quick else pytest.mark.slow
        found.append(pytest.param(*case.values, id=case.id, marks=marks))
    return found


def one_of_each_kind(regs: Iterable[str]) -> list:
    """Regularisers, slow but for one of each kind: what they do, they do to gradients, kernels or parametrisations."""
    kinds = ("none", "gain", "hard", "manifold", "exp")
    return [pytest.param(r, marks=() if r in kinds else pytest.mark.slow) for r in regs]


def same(actual: Any, expected: Any) -> None:
    """Equality in float64 up to the rounding of a few hundred operations."""
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-12)


def matrices(w: Tensor) -> Iterator[Tensor]:
    """The matrices of a stack, one by one."""
    return iter(w.detach().reshape(-1, *w.shape[-2:]))


def part(group: str, name: str, gain: float = 1.0, **options: Any) -> Any:
    """What conf/`group`/`name`.yaml builds, at `gain` if it has one."""
    root = OmegaConf.create({"seed": 0, "init": {"gain": gain}})
    root[group] = _loaded(group, name)
    if "gain" in inspect.signature(get_object(root[group]._target_)).parameters:
        options["gain"] = gain
    return instantiate(root[group], **options, _convert_="all")


@cache
def _loaded(group: str, name: str) -> DictConfig:
    """The file, read once; what it is put into has a copy."""
    return OmegaConf.load(CONF / group / f"{name}.yaml")


def parts(group: str, gain: float = 1.0) -> dict[str, Any]:
    """What every YAML of a group builds, by the YAML's name."""
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    return {name: part(group, name, gain) for name in names}


def params(built: dict[str, Any]) -> list:
    return [pytest.param(value, id=name) for name, value in built.items()]


def initialisers(gain: float = 1.0) -> list:
    """One case a conf/init/*.yaml."""
    return params(parts("init", gain))


def regularizers(gain: float = 1.0) -> dict[str, Callable[[], Regularizer]]:
    """A builder for each conf/reg/*.yaml, by its name: a regulariser belongs to the kernels it is attached to."""
    return {name: part("reg", name, gain, _partial_=True) for name in parts("reg")}


def extending_regularizer() -> type[Regularizer]:
    """The regulariser that docs/extending.md shows how to add."""
    text = (CONF.parent / "docs" / "extending.md").read_text()
    names: dict[str, Any] = {}
    exec(re.search(r"```python\n(# src/isogain/reg/.*?)```", text, re.S)[1], names)
    classes = [value for value in names.values() if isinstance(value, type)]
    return next(c for c in classes if issubclass(c, Regularizer) and c is not Regularizer)


def activations(model: type[Network]) -> tuple[str, ...]:
    """The names that a model's option `activation` takes."""
    return get_args(get_type_hints(model.__init__).get("activation"))


def networks(depths: tuple[int, ...] = (1, 2)) -> list:
    """One case a conf/model/*.yaml, activation and depth: a small float64 network, yet to be built."""
    cases = {}
    for name, model in parts("model").items():
        for phi, depth in product(activations(model.func) or [None], depths):
            options = {"depth": depth} | ({"activation": phi} if phi else {})
            key = "-".join(map(str, filter(None, [name, phi, depth])))
            cases[key] = partial(small, model, **options)
    return params(cases)
