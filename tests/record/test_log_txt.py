"""log.txt: it takes what it can, and what it cannot take stops no run."""

import logging
import os
from pathlib import Path

import pytest

from isogain.record.log_txt import LogFile


def logged(path: Path, *lines: str) -> None:
    handler = LogFile(str(path))
    for line in lines:
        handler.handle(logging.makeLogRecord({"msg": line}))
    handler.close()


def test_lines_are_added_in_utf_8_whatever_the_locale(tmp_path):
    logged(tmp_path / "log.txt", "one …")
    logged(tmp_path / "log.txt", "two \ud800")
    assert (tmp_path / "log.txt").read_text("utf-8") == "one …\ntwo ?\n"


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nowhere", "full"])
def test_what_cannot_take_a_line_is_named_once_and_nothing_is_raised(tmp_path, capsys, kind):
    path, elsewhere = tmp_path / "log.txt", tmp_path / "elsewhere"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(elsewhere)
        case "nowhere":
            path = tmp_path / "gone" / "log.txt"
        case "full":
            path = Path("/dev/full")
    logged(path, "one", "two")
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {path}: ") and told.count("\n") == 1
    assert not elsewhere.exists()
