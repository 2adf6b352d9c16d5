"""The answers for the page: every run, what is wrong with others; only what has changed is read."""

import json
import os
import socket

import pytest
from boards import board_run

from isogain.analysis.board import entry as entry_module
from isogain.analysis.board import index as index_module
from isogain.analysis.board.index import Index


@pytest.fixture(autouse=True)
def always_look(monkeypatch):
    monkeypatch.setattr(index_module, "FRESH", 0)


@pytest.fixture
def sweep(tmp_path):
    for i, (reg, gain) in enumerate([("gain", 0.9), ("gain", 1.1), ("none", 0.9), ("none", 1.1)]):
        board_run(tmp_path / "sweep" / str(i), reg, gain)
    return tmp_path / "sweep"


def rows(index):
    """Run name -> its row with values by key."""
    table = index.answer("runs")
    keys = [*table["options"], *table["results"]]
    found = {r["name"]: r | dict(zip(keys, r["values"], strict=True)) for r in table["runs"]}
    return found, table


def test_every_run_is_a_row_with_what_was_varied_and_what_came_out(sweep):
    found, table = rows(Index(sweep))
    assert list(found) == ["0", "1", "2", "3"] and table["varied"] == ["reg", "init.gain"]
    assert [r["reg"] for r in found.values()] == ["gain", "gain", "none", "none"]
    assert found["1"]["init.gain"] == 1.1 and found["1"]["test/acc"] == 0.61
    assert {r["status"] for r in found.values()} == {"finished"}


def test_curves_and_profiles_are_those_of_the_files(sweep):
    index = Index(sweep)
    found, _ = rows(index)
    curves = index.answer("curves", "train/loss")
    assert curves[str(found["1"]["id"])] == [
        [0, 10, 20, 30, 40],
        [1.1, 0.55, 0.366667, 0.275, 0.22],
    ]
    assert index.answer("curves", "no/such") == {}
    profile = index.answer("profiles")["0"]
    assert profile["steps"] == [0, 40] and profile["values"][1] == [-3, -1.5, 0]


def test_a_run_in_detail_has_its_config_its_summary_and_shares_that_add_up_to_one(sweep):
    (sweep / "0" / "log.txt").write_text("first\nlast <b>")
    detail = Index(sweep).answer("run", "0")
    assert detail["config"]["init.gain"] == 0.9 and detail["summary"]["test/acc"] == 0.59
    assert detail["log"] == "first\nlast <b>"
    shares = detail["heat_maps"]["jacobian/spectrum"]["shares"]
    assert [round(sum(event), 4) for event in shares] == [1, 1, 1]


@pytest.mark.parametrize("number", ["", "99", "-1", "../0", "0/../1", "0\0", "１", "x" * 10_000])
def test_a_run_is_asked_for_by_a_number_that_is_there_and_by_nothing_else(sweep, number):
    assert Index(sweep).answer("run", number) is None
    assert Index(sweep).answer(number) is None


def test_a_run_that_goes_on_shows_its_latest_values_and_then_its_summary(tmp_path):
    run = board_run(tmp_path / "a", status=None)
    start = {"event": "start", "time": "2020-01-01T00:00:00+00:00", "pid": os.getpid()}
    alive = start | {"time": "2099-01-01T00:00:00+00:00", "host": socket.gethostname()}
    (run / "attempts.jsonl").write_text(json.dumps(alive) + "\n")
    index = Index(tmp_path)
    found, _ = rows(index)
    assert found["a"]["status"] == "running" and found["a"]["step"] == 40
    assert found["a"]["train/loss"] == 0.2
    with (run / "metrics.csv").open("a") as file:
        file.write("50,1,0.125,0.9,1,1\r\n")
    found, _ = rows(index)
    assert found["a"]["step"] == 50 and found["a"]["train/loss"] == 0.125
    (run / "summary.json").write_text(json.dumps({"status": "finished", "test/acc": 0.75}))
    found, _ = rows(index)
    assert found["a"]["status"] == "finished" and found["a"]["test/acc"] == 0.75


def test_a_run_whose_process_is_gone_is_lost(tmp_path):
    run = board_run(tmp_path / "a", status=None)
    start = {"event": "start", "time": "2020-01-01T00:00:00+00:00", "pid": os.getpid()}
    (run / "attempts.jsonl").write_text(json.dumps(start | {"host": socket.gethostname()}) + "\n")
    assert rows(Index(tmp_path))[0]["a"]["status"] == "lost"


def test_broken_foreign_and_pending_runs_are_reported_and_none_is_dropped(sweep):
    (sweep / "0" / "summary.json").write_text('{"status": "fini')
    (sweep / "1" / "metrics.csv").write_bytes(b"\xff\xfe\0\n")
    (sweep / "2" / "spectra.npz").write_bytes(b"PK\3\4 no zip")
    (sweep / "foreign").mkdir()
    (sweep / "foreign" / "config.yaml").write_text("learning_rate: 1\n")
    (sweep / "half").mkdir()
    (sweep / "half" / "metrics.csv").write_text("step,epoch\n")
    points = [{"folder": str(i), "overrides": [f"seed={i}"]} for i in range(6)]
    (sweep / "sweep.json").write_text(json.dumps({"points": points, "cluster": "none"}))
    index = Index(sweep)
    index.answer("profiles")
    index.answer("curves", "train/loss")
    found, table = rows(index)
    assert found["0"]["status"] == "broken" and "summary.json" in found["0"]["error"]
    assert "metrics.csv" in found["1"]["problems"] and "spectra.npz" in found["2"]["problems"]
    assert found["3"]["problems"] == {} and found["4"]["seed"] == 4
    assert {found[n]["status"] for n in "45"} <= {"pending", "unstarted"}
    assert set(table["skipped"]) == {"foreign", "half"}
    for number in range(len(found)):
        index.answer("run", str(number))  # none raises


def test_an_empty_folder_and_one_that_is_gone_are_no_error(tmp_path):
    index = Index(tmp_path / "f")
    (tmp_path / "f").mkdir()
    assert index.answer("runs")["runs"] == []
    (tmp_path / "f").rmdir()
    assert "no such folder" in str(index.answer("runs")["skipped"])


def test_only_what_has_changed_is_read_again(sweep, monkeypatch):
    index, seen = Index(sweep), []
    index.answer("runs")
    index.answer("curves", "train/loss")
    real = entry_module.read_run
    monkeypatch.setattr(
        entry_module, "read_run", lambda path, *a: seen.append(path.name) or real(path, *a)
    )
    index.answer("runs")
    assert seen == []
    (sweep / "2" / "summary.json").write_text(
        json.dumps({"status": "diverged", "error": "loss is nan"})
    )
    found, _ = rows(index)
    assert seen == ["2"] and found["2"]["error"] == "loss is nan"


def test_numbers_that_are_not_finite_and_names_of_any_bytes_are_json(tmp_path):
    folder = os.fsdecode(b"caf\xe9 <script>")
    run = board_run(tmp_path / folder, **{"test/loss": float("inf")})
    (run / "metrics.csv").write_text("step,epoch,train/loss\n1,0,nan\n2,0,inf\n3,0,1\n")
    index = Index(tmp_path)
    for answer in (
        index.answer("runs"),
        index.answer("curves", "train/loss"),
        index.answer("run", "0"),
    ):
        json.dumps(answer, allow_nan=False).encode()
    assert index.answer("runs")["runs"][0]["name"] == "caf\ufffd <script>"
    assert index.answer("curves", "train/loss")["0"] == [[1, 2, 3], [None, None, 1]]


def test_secrets_in_configs_overrides_and_errors_are_masked(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 20 + "MARK")
    run = board_run(
        tmp_path / "a",
        more=("+logger.api_key=abcMARK",),
        status="failed",
        error="401: " + "k" * 20 + "MARK",
    )
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config + "logger: {api_key: abcMARK}\nhub: {token: xMARK}\n")
    (run / "log.txt").write_text("password: zzMARK\n" + "k" * 20 + "MARK")
    index = Index(tmp_path)
    assert "MARK" not in json.dumps([index.answer("runs"), index.answer("run", "0")])
