"""The plugin in a process of its own, as another package's tests would use it."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

PAGE = """
import pytest
from isogain.reg import Soft

class Shrinks(Soft):
    def after_step(self, w, state):
        w.mul_(0.5)

@pytest.mark.regularizer_contract(reg=Shrinks, shapes=[(4, 4)])
def test_mine(clause):
    clause()
"""
FORGOTTEN = """
import pytest

@pytest.mark.regularizer_contract(reg=None)
def test_mine():
    pass
"""


def pytest_on(folder, text, *options):
    (folder / "test_mine.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "isogain.testing.pytest_plugin", "-v"]
    command += ["-p", "no:cacheprovider", "--strict-markers", "-c", "none.ini", *options]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    (folder / "none.ini").write_text("[pytest]\n")
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_a_marker_makes_a_case_of_every_clause_and_shows_the_broken_ones(tmp_path):
    done = pytest_on(tmp_path, PAGE)
    assert done.returncode == 1, done.stderr
    case = "::test_mine[Shrinks-before_step_edits_the_gradient_alone-4x4] PASSED"
    assert f"test_mine.py{case}" in done.stdout
    assert 'Shrinks breaks the law "a kernel at its target stays there' in done.stdout


def test_a_marked_test_without_the_argument_is_an_error_of_one_line(tmp_path):
    done = pytest_on(tmp_path, FORGOTTEN, "--co")
    assert done.returncode != 0
    line = "test_mine is marked regularizer_contract: it needs the argument `clause`"
    assert line in done.stdout + done.stderr


def test_loading_the_plugin_loads_no_torch():
    program = "import sys, isogain.testing.pytest_plugin; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_entry_point_of_the_package_is_the_plugin():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    ((name, address),) = project["entry-points"]["pytest11"].items()
    assert name == address  # else a `-p` beside it would load it twice, which pytest refuses
    module = import_module(address)
    assert module.pytest_generate_tests and module.pytest_configure
