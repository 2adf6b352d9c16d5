"""The table of runs: a row a run, whatever state its folder is in."""

import json
import os
import socket
import subprocess
import sys

import pytest
from run_folders import write_run

from isogain.analysis.statistics import runs


def row(table, folder):
    return table.set_index("folder").loc[str(folder)]


def test_a_row_a_run_with_choices_options_and_summary(tmp_path):
    for i, reg in enumerate(["gain", "none"]):
        overrides = {"reg": reg, "init.gain": 1 + i / 10, "seed": i}
        write_run(tmp_path / "sweep" / str(i), overrides, {"test/acc": 0.9, "steps": 10})
    table = runs(tmp_path)
    assert len(table) == 2 and table.attrs["skipped"] == {}
    actual = row(table, tmp_path / "sweep" / "1")
    assert (actual["reg"], actual["init.gain"], actual["seed"], actual["model"]) == (
        "none",
        1.1,
        1,
        "mlp",
    )
    assert (actual["status"], actual["test/acc"], actual["model.hidden"]) == ("finished", 0.9, 8)
    assert table.attrs["overridden"] == ["reg", "init.gain", "seed"]


def test_options_are_there_that_differ_or_are_asked_for(tmp_path):
    for i in range(2):
        write_run(tmp_path / str(i), {"seed": i, "reg.gain": 1.0 + i}, {})
    assert "reg.gain" in runs(tmp_path) and "optim.lr" in runs(tmp_path)
    alone = runs(tmp_path / "0")
    assert "reg.gain" not in alone and "reg.gain" in runs(tmp_path / "0", keep=["reg.gain"])
    assert "out" not in runs(tmp_path)


def test_nothing_below_a_run_folder_is_looked_at_and_no_run_is_read_twice(tmp_path):
    run = write_run(tmp_path / "0", {}, {})
    write_run(run / "wandb" / "files", {}, {})
    (tmp_path / "again").symlink_to(tmp_path)
    assert runs(tmp_path, tmp_path / "0", run)["folder"].tolist() == [str(run)]


def test_numbered_folders_come_in_the_order_of_their_numbers(tmp_path):
    for i in (10, 9, 1):
        write_run(tmp_path / str(i), {}, {})
    assert [f.rpartition("/")[2] for f in runs(tmp_path)["folder"]] == ["1", "9", "10"]


def test_a_choice_that_was_not_recorded_is_the_class_or_what_was_overridden(tmp_path):
    for i, overrides in enumerate([{}, {"reg": "soft"}]):
        (write_run(tmp_path / str(i), overrides, {}) / "choices.yaml").unlink()
    assert runs(tmp_path)["reg"].tolist() == ["Soft", "soft"]
    assert runs(tmp_path)["init"].tolist() == ["orthogonal"] * 2


def test_blocks_are_read_as_the_whole_file_is(tmp_path):
    run = write_run(tmp_path / "0", {}, {})
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(
        "# written by hand\n" + text.replace("hidden: 8", "hidden: 16 # wide\n")
    )
    assert runs(tmp_path)["model.hidden"].tolist() == [16]
    shared = text.replace("hidden: 8", "hidden: &n 32").replace("seed: 0", "seed: *n")
    (run / "config.yaml").write_text(shared)  # an anchor in another block
    assert runs(tmp_path)["seed"].tolist() == [32]


BROKEN = {
    "config.yaml": ["", "model: {", "seed: 1\n  a: b\n"],
    "summary.json": ["", '{"status": "fin', "[1]", "\x00", "{}", '{"status": "ok"}'],
    "overrides.yaml": ["- [", "a: 1"],
}


@pytest.mark.parametrize(
    "name, text", [(name, text) for name, texts in BROKEN.items() for text in texts]
)
def test_a_broken_file_is_a_row_that_names_it(tmp_path, name, text):
    run = write_run(tmp_path / "0", {"seed": 3}, {"test/acc": 0.5})
    (run / name).write_text(text)
    (actual,) = runs(tmp_path).to_dict("records")
    assert actual["status"] == "broken" and actual["error"].startswith(name)
    assert "\n" not in actual["error"] and actual["seed"] == 3


@pytest.mark.parametrize("text", ["a: 1", "- 1", "_target_: other.main", "model: 3", "just text"])
def test_a_foreign_config_is_no_row_and_named(tmp_path, text):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text(text)
    table = runs(tmp_path)
    assert not len(table) and "config.yaml" in table.attrs["skipped"][str(tmp_path / "other")]


def test_half_a_run_and_a_binary_config_are_named_and_other_folders_ignored(tmp_path):
    for name in ("half", "binary", "empty", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "half" / "metrics.csv").write_text("step,epoch\r\n")
    (tmp_path / "binary" / "config.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "notes" / "todo.txt").write_text("")
    table = runs(tmp_path)
    assert list(table.attrs["skipped"]) == [str(tmp_path / "half")]
    assert table["status"].tolist() == ["broken"]


def test_a_foreign_summary_is_no_row_and_named(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "summary.json").write_text('{"loss": 1}')
    table = runs(tmp_path)
    assert not len(table) and "no status" in table.attrs["skipped"][str(tmp_path / "other")]


def ordered(tmp_path, *points):
    listed = [{"folder": f, "overrides": o} for f, o in points]
    (tmp_path / "sweep.json").write_text(json.dumps({"points": listed}))


def test_a_point_of_a_sweep_without_a_folder_is_pending_in_its_cell(tmp_path):
    write_run(tmp_path / "0", {"reg": "gain", "seed": 0}, {"test/acc": 0.9})
    ordered(
        tmp_path,
        ("0", ["reg=gain", "seed=0"]),
        ("1", ["reg=soft", "seed=7", "optim.lr=1e-3", "+trainer.x=null"]),
    )
    actual = row(runs(tmp_path), tmp_path / "1")
    assert (actual["status"], actual["reg"], actual["seed"]) == ("pending", "soft", 7)
    assert actual["optim.lr"] == 0.001 and actual["model.hidden"] == 8  # as in the others


def test_a_run_that_failed_before_it_had_a_config_is_in_its_cell(tmp_path):
    write_run(tmp_path / "0", {"reg": "gain"}, {})
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "summary.json").write_text('{"status": "failed", "error": "no"}')
    ordered(tmp_path, ("0", ["reg=gain"]), ("1", ["reg=hard", "seed=4"]))
    actual = row(runs(tmp_path), tmp_path / "1")
    assert (actual["status"], actual["reg"], actual["seed"], actual["error"]) == (
        "failed",
        "hard",
        4,
        "no",
    )


def test_a_damaged_sweep_file_is_told(tmp_path):
    write_run(tmp_path / "0", {}, {})
    (tmp_path / "sweep.json").write_text('{"points": [')
    table = runs(tmp_path)
    assert len(table) == 1 and str(tmp_path / "sweep.json") in table.attrs["skipped"]


GONE = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
EVENTS = {
    "running": {"event": "start", "host": socket.gethostname(), "pid": os.getpid()},
    "lost": {"event": "start", "host": socket.gethostname(), "pid": int(GONE.stdout)},
    "preempted": {"event": "preempted", "signal": "SIGTERM"},
    "failed": {"event": "end", "status": "failed"},
    "unfinished": {"event": "start", "host": "elsewhere", "pid": os.getpid()},
}


@pytest.mark.parametrize("status, event", EVENTS.items())
def test_a_run_without_summary_is_what_its_last_whole_event_says(tmp_path, status, event):
    run = write_run(tmp_path / "0")
    lines = [json.dumps({"event": "start"}), json.dumps(event), '{"event": "en']
    (run / "attempts.jsonl").write_text("\n".join(lines))
    assert runs(tmp_path)["status"].tolist() == [status]


def test_a_run_without_summary_and_attempts_is_unfinished(tmp_path):
    write_run(tmp_path / "0")
    assert runs(tmp_path)["status"].tolist() == ["unfinished"]


def test_a_folder_that_is_not_there_or_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        runs(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        runs(tmp_path / "file")
    assert not len(runs(tmp_path)) and "status" in runs(tmp_path)
