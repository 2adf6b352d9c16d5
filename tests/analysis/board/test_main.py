"""The command: one line a mistake, an address, and an end by Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from functools import partial

import pytest
from boards import board_run
from guards import PATIENCE

from isogain.analysis.board.__main__ import main


@pytest.mark.parametrize("arguments", [["nothing"], ["file"], ["nothing", "--static", "x.html"]])
def test_a_folder_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1 and arguments[0] in message


def test_a_port_that_is_taken_is_one_line(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([str(tmp_path), "--port", str(port)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1 and str(port) in message


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_what_is_no_port_is_refused_by_the_parser(tmp_path, port, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path), f"--port={port}"])
    assert end.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_there_is_no_way_to_serve_another_host(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--host", "0.0.0.0"])


def test_it_prints_its_address_serves_and_ends_by_ctrl_c(tmp_path):
    board_run(tmp_path / "a")
    command = [sys.executable, "-m", "isogain.board", str(tmp_path)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        # in the background of a script it is ignored, by all descendants too
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as board:
        url = board.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{16}/", url)
        assert b"isogain board" in urllib.request.urlopen(url, timeout=PATIENCE).read()
        board.send_signal(signal.SIGINT)
        out, err = board.communicate(timeout=PATIENCE)
        assert board.returncode == 0 and err == "" and "Traceback" not in out


def test_the_static_page_is_written_whole_or_the_reason_is_reported(tmp_path, capsys):
    board_run(tmp_path / "a")
    file = tmp_path / "board.html"
    assert main([str(tmp_path), "--static", str(file)]) == 0
    assert file.read_text().startswith("<!doctype html>") and str(file) in capsys.readouterr().out
    assert main([str(tmp_path), "--static", str(tmp_path / "no" / "board.html")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
