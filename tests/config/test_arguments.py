import argparse
import errno
from pathlib import Path

import pytest

from isogain.config import arguments
from isogain.config.errors import UserError


def raising(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("a: no such\nfolder"), "error: a: no such folder"),
        (ValueError("no run"), "error: no run"),
        (KeyError("acc: no run has it"), "error: acc: no run has it"),
        (ModuleNotFoundError(name="pandas"), "error: pandas is missing: pip install -e '.[x]'"),
        (OSError(errno.ENOSPC, "No space", "a.png"), "error: a.png: No space"),
        (OSError("odd"), "error: odd"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_a_user_can_put_right_is_one_line_and_exit_code_1(capsys, error, line):
    assert arguments.exit_code(raising(error), extra="x") == 1
    assert capsys.readouterr().err == line + "\n"


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(AttributeError):
        arguments.exit_code(raising(AttributeError("ours")))


def test_what_works_says_nothing_and_ends_with_0(capsys):
    assert arguments.exit_code(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_the_help_is_what_main_says_of_itself_in_its_paragraphs():
    def main():
        """One sentence
        over two lines.

        And another.
        """

    shown = arguments.parser("name", main).format_help()
    assert "usage: python -m isogain.name" in shown
    assert "\nOne sentence over two lines.\n\nAnd another.\n" in shown and arguments.EXIT in shown


@pytest.mark.parametrize(
    ("several", "found"), [(False, {"folder": Path("a")}), (True, {"folders": [Path("a")]})]
)
def test_the_folder_has_one_name_in_every_help(several, found):
    parser = argparse.ArgumentParser()
    arguments.add_folder(parser, several)
    assert "FOLDER" in parser.format_usage() and vars(parser.parse_args(["a"])) == found
