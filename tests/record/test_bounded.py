"""Whatever lies under the name of a file, to read it ends at once, in a value, in absence or in Damaged."""

import math
import os
import socket

import pytest
from omegaconf import OmegaConf

from isogain.record import bounded, bounded_json, bounded_yaml
from isogain.record.bounded import Damaged

JSON = {
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "nested and whole": b"[" * 500 + b"]" * 500,
    "an integer of any length": b"[" + b"9" * 5_000 + b"]",
    "an integer beyond 64 bits": b"9" * 25,
    "a key twice": b'{"status": "finished", "status": "failed"}',
    "no UTF-8": b'{"a": "\xff"}',
    "nothing": b"",
    "NULs": b"\0" * 100,
    "cut short": b'{"status": "fin',
}
DOUBLING = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)
)
YAML = {
    "nested": "[" * 200_000,
    "nested in blocks": "- " * 200_000,
    "nested mappings": "{a: " * 200_000,
    "aliases that double": DOUBLING,
    "merges that double": DOUBLING.replace("[x, x]", "{x: 1}")
    .replace("[*", "{<<: [*")
    .replace("]", "]}"),
    "a value that holds itself": "a: &a [*a]",
    "sexagesimal": "zz: " + "1:" * 100_000 + "1",
    "an integer of any length": "a: " + "9" * 10_000,
    "a hexadecimal of any length": "a: 0x" + "f" * 10_000,
    "many values": "- 1\n" * 100_000,
    "a key twice": "a: 1\na: 2",
    "code": "a: !!python/object/apply:os.system [id]",
    "a set": "a: !!set {x, y}",
    "no date": "a: 2026-99-99",
    "a list as a key": "? [a]\n: b",
    "a NUL": "a: \0",
}


def never_ending(folder):
    """Name -> what is no file to read."""
    os.mkfifo(folder / "fifo.json")
    (folder / "device.json").symlink_to("/dev/zero")
    (folder / "folder.json").mkdir()
    (folder / "circle.json").symlink_to("circle.json")
    (folder / "process.json").symlink_to("/proc/self/status")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.json"))
    with (folder / "sparse.json").open("wb") as file:
        file.truncate(1 << 40)
    return sorted(folder.glob("*.json"))


def test_what_is_no_regular_file_or_too_large_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    for path in (paths := never_ending(tmp_path)):
        for read in (
            bounded.content,
            bounded.text,
            bounded_json.json_value,
            bounded_json.json_lines,
        ):
            with pytest.raises(Damaged, match=path.name):
                read(path)
    assert len(paths) == 7


def test_a_link_is_followed_within_its_folder_and_not_out_of_it(tmp_path):
    run = tmp_path / "run"
    (run / "kept").mkdir(parents=True)
    for folder in (tmp_path, run / "kept"):
        (folder / "a.json").write_text("1")
    (run / "inside.json").symlink_to("kept/a.json")
    (run / "outside.json").symlink_to("../a.json")
    (run / "nowhere.json").symlink_to("none.json")
    assert bounded_json.json_value(run / "inside.json") == 1
    assert bounded.content(run / "outside.json", within=tmp_path) == b"1"
    with pytest.raises(Damaged, match="leads out of the folder"):
        bounded_json.json_value(run / "outside.json")
    for absent in (run / "nowhere.json", run / "none.json", run / "inside.json" / "a.json"):
        with pytest.raises(FileNotFoundError):
            bounded_json.json_value(absent)


def test_a_folder_that_is_itself_a_link_is_read(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.json").write_text("1")
    (tmp_path / "again").symlink_to("run")
    assert bounded_json.json_value(tmp_path / "again" / "a.json") == 1


@pytest.mark.parametrize("name", JSON)
def test_json_that_no_run_writes_is_damaged_and_says_why_in_a_line(tmp_path, name):
    (tmp_path / "a.json").write_bytes(JSON[name])
    with pytest.raises(Damaged) as caught:
        bounded_json.json_value(tmp_path / "a.json")
    assert str(caught.value).startswith("a.json: ") and len(str(caught.value).splitlines()) == 1


def test_json_holds_what_tables_and_files_take(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"a": NaN, "b": "\\ud800", "c": 1e999, "d": [1.5, -7]}')
    found = bounded_json.json_value(tmp_path / "a.json")
    assert math.isnan(found["a"]) and found["c"] == math.inf and found["d"] == [1.5, -7]
    assert found["b"].encode() == b"?"  # half of a character has no bytes


def test_of_json_lines_what_a_kill_cut_short_is_left_out_and_the_rest_is_a_problem(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n{"a": 2}\n[3]\nx\n{"a": 4, \n{"a": 5}')
    found, problems = bounded_json.json_lines(tmp_path / "a.jsonl")
    assert found == [{"a": 1}, {"a": 2}, {"a": 5}] and len(problems) == 2
    assert bounded_json.json_lines(tmp_path / "none.jsonl") == ([], [])


@pytest.mark.parametrize("name", YAML)
def test_yaml_that_no_run_writes_is_damaged_and_says_why_in_a_line(tmp_path, name):
    (tmp_path / "a.yaml").write_text(YAML[name])
    for read in (bounded_yaml.yaml_value, bounded_yaml.yaml_config):
        if (name, read) == ("no date", bounded_yaml.yaml_config):  # to OmegaConf a date is text
            continue
        with pytest.raises(Damaged) as caught:
            read(tmp_path / "a.yaml")
        assert str(caught.value).startswith("a.yaml: ") and len(str(caught.value).splitlines()) == 1


def test_yaml_of_ours_is_read_as_omegaconf_writes_it(tmp_path):
    value = {"a": {"b": [1, 2.5, "x"], "c": None}, "d": 1e-5, "e": "1:30", "f": True, "g": ""}
    OmegaConf.save(OmegaConf.create(value), tmp_path / "a.yaml")
    assert bounded_yaml.yaml_value(tmp_path / "a.yaml") == value
    assert bounded_yaml.yaml_config(tmp_path / "a.yaml") == value
    (tmp_path / "a.yaml").write_text("a: &a {x: 1}\nb: *a\n")
    assert bounded_yaml.yaml_value(tmp_path / "a.yaml") == {"a": {"x": 1}, "b": {"x": 1}}
