"""Packages that only list their public names: importing one loads nothing, and every name is what its module has."""

import subprocess
import sys
from importlib import import_module

import pytest

ROOMS = [
    *("isogain.callbacks", "isogain.config", "isogain.data", "isogain.record"),
    *("isogain.testing", "isogain.tracking", "isogain.training"),
]


def test_importing_a_lazy_room_loads_nothing_but_the_room():
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        f"import {', '.join(ROOMS)}\n"
        "ours = {name for name in set(sys.modules) - before if name.startswith('isogain')}\n"
        f"assert ours == {{'isogain', 'isogain.lazy', *{ROOMS}}}, ours\n"
        "assert not {'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there_with_a_docstring(room):
    package = import_module(room)
    assert sorted(package.__all__) == list(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        assert value.__doc__ and value.__module__.startswith(f"{room}."), name


@pytest.mark.parametrize("room", ROOMS)
def test_a_name_that_is_not_there_is_an_attribute_error(room):
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        import_module(room).nothing  # noqa: B018 - the look-up itself raises
