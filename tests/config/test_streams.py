"""What a program prints may be closed, cut off, full or ASCII: it does its work, and no traceback is to be seen."""

import subprocess
import sys
from pathlib import Path

import pytest
from guards import PATIENCE

ROOT = Path(__file__).parents[2]
TRAIN = (
    f"{sys.executable} {ROOT}/train.py data=adding data.T=4 model.hidden=4 logger=csv "
    "callbacks=minimal data.batches=6 data.eval_examples=40 trainer.max_epochs=1 out=run"
)
ASCII = "env LC_ALL=C PYTHONIOENCODING=ascii PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
LOGS = """
import logging, sys
from isogain.config.streams import forgiving
with forgiving():
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    for n in range(9999):
        logging.warning("line %d …", n)
    print("over", file=sys.stderr)
open("done", "w").close()
"""
PRINTS = """
import sys
from isogain.config.streams import exit_code
def main():
    for n in range(9999):
        print("line", n, "…")
    return 3
sys.exit(exit_code(main, cut=5))
"""
WAYS = {
    "closed stderr": "{} 2>&- >/dev/null",
    "closed stdout": "{} >&-",
    "both closed": "{} >&- 2>&-",
    "cut off": "{} | head -1 >/dev/null",
    "both cut off": "{} 2>&1 | head -1 >/dev/null",
    "full": "{} >/dev/full",
    "both full": "{} >/dev/full 2>/dev/full",
    "ASCII": ASCII + " {} >/dev/null",
}


def shell(command: str, folder: Path) -> subprocess.CompletedProcess:
    line = f"set -o pipefail; {command}"
    return subprocess.run(["bash", "-c", line], capture_output=True, cwd=folder, timeout=PATIENCE)


def program(folder: Path, text: str) -> str:
    (folder / "program.py").write_text(text)
    return f"{sys.executable} {folder / 'program.py'}"


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_logs_comes_to_its_end_without_a_traceback(tmp_path, way):
    found = shell(WAYS[way].format(program(tmp_path, LOGS)), tmp_path)
    assert found.returncode == 0 and (tmp_path / "done").exists()
    assert found.stderr in (b"", b"over\n") and found.stdout == b""


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_says_in_its_exit_code_that_its_output_was_not_written(tmp_path, way):
    found = shell(WAYS[way].format(program(tmp_path, PRINTS)), tmp_path)
    expected = 1 if "full" in way else 5 if "cut" in way else 3
    assert found.returncode == expected
    assert found.stderr in (b"", b"error: standard output: No space left on device\n")
    assert bool(found.stderr) == (way == "full")


def test_a_file_opened_after_a_stream_was_closed_does_not_get_what_is_printed_there(tmp_path):
    text = LOGS.replace("with forgiving():", 'with forgiving(), open("file", "w") as file:')
    text += 'import os; os.write(2, b"a word of a library")\n'
    assert shell(f"{program(tmp_path, text)} 2>&- >&-", tmp_path).returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_run_finishes_wherever_its_output_goes(tmp_path, way):
    found = shell(WAYS[way].format(TRAIN), tmp_path)
    assert found.returncode == 0 and b"Traceback" not in found.stderr + found.stdout
    assert '"status": "finished"' in (tmp_path / "run" / "summary.json").read_text()
    assert "val/loss" in (tmp_path / "run" / "log.txt").read_text()
