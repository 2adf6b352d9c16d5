"""What is printed of a file commands nothing: not a terminal, not a spreadsheet."""

import subprocess
import sys

import pytest
from guards import PATIENCE

from isogain.config.terminal import LONGEST, defused, first_line, printable

WORDS = [
    "a b",
    "it's",
    "\x1b[2J\nrm -rf ~",
    "tab\there 'quoted' \\n",
    "caf\udce9",
    "\u202ereversed",
    "\x7f\x9b31m",
    "é ∂",
    "$(id) `id`",
    "",
]


@pytest.mark.parametrize("text", WORDS)
def test_what_is_printed_is_one_line_of_printable_characters(text):
    assert printable(text).isprintable() and len(printable(text)) == len(text)
    assert first_line(f"{text} first").isprintable()


def test_a_reason_is_its_first_line_and_no_longer_than_a_screen_takes():
    assert first_line("\n one\ntwo") == "one" and len(first_line("x" * 10_000)) == LONGEST + 2


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-x", "@sum(a)", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_compute_is_a_text(text):
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("cell", [-0.5, 3, None, True, "-0.5", "+1e-3", "a=b", "", "-inf"])
def test_numbers_and_other_cells_stay_as_they_are(cell):
    assert defused(cell) is cell or defused(cell) == cell


def test_an_ascii_terminal_is_no_error(tmp_path):
    (tmp_path / "é ∂").mkdir()
    (tmp_path / "é ∂" / "config.yaml").write_text("a: 1")
    command = [sys.executable, "-m", "isogain.status", str(tmp_path)]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env={"PYTHONIOENCODING": "ascii"}
    )
    assert told.stderr == "" and "1 unknown" in told.stdout
