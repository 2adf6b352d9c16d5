"""What is printed to be pasted is read back as what was meant, by a shell and by Hydra."""

import subprocess
from pathlib import Path

import pytest
from guards import PATIENCE
from hydra.core.override_parser.overrides_parser import OverridesParser

from isogain.config import shell
from isogain.record.run_folder import ways_on

TEXTS = (
    *("runs/a", "runs/a b=c", "a'b", 'a"b', "a$HOME", "a;rm -rf b", "a&b|c", "(a)", "[a]", "{a}", "~", "é"),
    *("null", "True", "NaN", "3", "-1", "a#b", "a,b", "*", "a\\b", "a\nb", "a\tb\x1b[31m", "'", "$'x'", "!", ""),
)  # fmt: skip


def by_bash(word: str) -> bytes:
    return subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("text", TEXTS)
def test_a_shell_reads_a_word_back(text):
    assert by_bash(shell.word(text)) == text.encode()
    assert shell.word(text).isprintable()


@pytest.mark.parametrize("text", [text for text in TEXTS if text.isprintable() and text])
def test_hydra_reads_an_override_back_that_a_shell_has_read(text):
    (parsed,) = OverridesParser.create().parse_overrides(
        [by_bash(shell.override("out", text)).decode()]
    )
    assert str(parsed.value()) == text


def test_a_command_is_its_words():
    assert (
        shell.command("python", "-m", "isogain.status", Path("a b"))
        == "python -m isogain.status 'a b'"
    )
    assert ways_on("runs/a b=c") == "the same command with 'out=\"runs/a b=c\"' resume=true goes on"
    assert (
        ways_on("multirun/2026-01-01_3a-f")
        == "the same command with out=multirun/2026-01-01_3a-f resume=true goes on"
    )


def test_a_command_is_one_printable_line_that_bash_reads_as_its_words():
    words = [
        *TEXTS,
        "caf\udce9",
        "\u202ereversed",
        "\x7f\x9b31m",
        "$(id) `id`",
    ]  # a byte that is no UTF-8
    line = shell.command("printf", "%s\\0", *words)
    assert line.isprintable()
    read = subprocess.run(
        ["bash", "-c", line], capture_output=True, check=True, timeout=PATIENCE
    ).stdout
    expected = [word.encode("utf-8", "surrogateescape") for word in words]
    assert read.split(b"\0")[:-1] == expected
