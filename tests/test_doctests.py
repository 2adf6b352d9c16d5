"""The examples of the science floor are true, and every public name of it has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

PACKAGES = (
    "linalg",
    "activations",
    "schedules",
    "theory",
    "reg",
    "init",
    "models",
    "optim",
    "diagnostics",
    "testing",
    "lazy",
)


def _modules(package: str) -> list[str]:
    """The package and its modules; a `__main__` is a command, not a library."""
    root = importlib.import_module(f"isogain.{package}")
    below = pkgutil.walk_packages(getattr(root, "__path__", ()), f"{root.__name__}.")
    return [
        root.__name__,
        *(module.name for module in below if not module.name.endswith("__main__")),
    ]


def _examples(name: str) -> list[doctest.DocTest]:
    """The doctests of what a module defines, also of functions that a decorator of torch wraps."""
    module = importlib.import_module(name)
    own = [
        (key, inspect.unwrap(value) if inspect.isfunction(value) else value)
        for key, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == name
    ]
    finder = doctest.DocTestFinder()
    tests = [t for key, value in own for t in finder.find(value, key, False, vars(module).copy())]
    return [test for test in tests if test.examples]


MODULES = [module for package in PACKAGES for module in _modules(package)]


@pytest.mark.parametrize("module", [module for module in MODULES if _examples(module)])
def test_the_examples_of_a_module_are_true(module):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in _examples(module):
        assert runner.run(test).failed == 0, test.name


def _public(package: str) -> list[tuple[str, object]]:
    """The functions and classes of isogain in the package's `__all__`."""
    module = importlib.import_module(f"isogain.{package}")
    names = [(name, getattr(module, name)) for name in getattr(module, "__all__", ())]
    return [
        (name, value)
        for name, value in names
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith("isogain.")
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_the_science_floor_has_an_example(package):
    without = {
        name
        for name, value in _public(package)
        if ">>>" not in (vars(value).get("__doc__") or value.__doc__ or "")
    }
    assert not without
