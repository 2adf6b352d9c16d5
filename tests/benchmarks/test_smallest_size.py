"""Every script of benchmarks/ still runs: at its smallest size, for its figures say nothing there."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from guards import PATIENCE
from runs import SMALL

FOLDER = Path(__file__).parents[2] / "benchmarks"
SMALLEST = {
    "along": "--layers 8 --width 8 --rounds 1",
    "callbacks": "rnn-rows --rounds 1 --gains 1.0",
    "constraints": "rnn:8x4 --rounds 1 --only soft",
    "curvature": "--depth 2 --hidden 8 --batch 4 --rounds 1",
    "data": "mnist --rounds 1",
    "diagnostics": "rnn --rounds 1",
    "drift": "8 --steps 1000",
    "epoch": " ".join(["--rounds 1", *SMALL]),
    "folders": "--megabytes 1 --spectra 3 --runs 3 --points 3 --few 2",
    "recurrence": "--hidden 8 --rounds 1",
    "regularize": "--layers 2 --width 16 --rounds 1 --only cayley",
    "theory": "--rounds 1",
}
LIBRARIES = {"rounds"}  # what the others share


def test_every_script_has_a_smallest_size():
    assert {path.stem for path in FOLDER.glob("*.py")} - LIBRARIES == set(SMALLEST)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_prints_its_table(name, tmp_path):
    command = [sys.executable, str(FOLDER / f"{name}.py"), *SMALLEST[name].split()]
    outcome = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    assert outcome.returncode == 0, outcome.stderr
    assert any(digit in outcome.stdout for digit in "0123456789")
