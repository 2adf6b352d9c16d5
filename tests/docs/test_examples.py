"""The scripts of docs/examples run as they are and print what they measure."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from guards import PATIENCE

PAGE = Path(__file__).parents[2] / "docs" / "own_network.md"
SCRIPTS = sorted((PAGE.parent / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_runs_and_prints_numbers(script, tmp_path):
    outcome = subprocess.run(
        [sys.executable, "-W", "error:::isogain", str(script)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "nan" not in outcome.stdout and any(c.isdigit() for c in outcome.stdout)
    assert not list(tmp_path.iterdir())


def test_the_page_links_every_example():
    assert SCRIPTS and all(f"(examples/{path.name})" in PAGE.read_text() for path in SCRIPTS)
