"""The list of a sweep's points, and how their runs ended."""

import json
import os

import pytest

from isogain.config.errors import ConfigError
from isogain.record.summary_json import outcome
from isogain.record.sweep_json import (
    Point,
    abridged,
    enlist,
    listed,
    numbered_points,
    point_names,
)


def test_points_are_listed_once_in_order_whoever_adds_them(tmp_path):
    points = [Point(str(n), (f"seed={n}", "reg=none")) for n in range(3)]
    enlist(tmp_path / "sweep", points[:2], "local")
    enlist(tmp_path / "sweep", points[1:], "local")
    assert listed(tmp_path / "sweep") == points
    whole = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    starter = {"host", "pid", "boot", "ticks", "namespace"}
    assert set(whole) == {"command", "time", "cluster", "points"} | starter
    assert whole["cluster"] == "local"


def test_a_sweeper_that_chooses_points_as_it_goes_on_is_named_with_the_process_at_work(tmp_path):
    enlist(tmp_path, [Point("0", ("a=1",))], "local", sweeper="optuna")
    path = tmp_path / "sweep.json"
    earlier = json.loads(path.read_text()) | {"pid": 1, "time": "2026-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(earlier))
    enlist(tmp_path, [Point("0", ("a=2",)), Point("1", ("a=3",))], "slurm", sweeper="optuna")
    sweep = json.loads(path.read_text())
    assert (sweep["sweeper"], sweep["cluster"], sweep["pid"]) == ("optuna", "slurm", os.getpid())
    assert sweep["time"] > earlier["time"]
    assert listed(tmp_path) == [Point("0", ("a=1",)), Point("1", ("a=3",))]


@pytest.mark.parametrize("text", ["{", "[]", '{"points": [{}]}', '{"points": [1]}'])
def test_a_damaged_list_is_one_line(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ConfigError, match="sweep.json: not the list of a sweep"):
        listed(tmp_path)


def test_a_point_has_the_folder_of_its_number_unless_its_overrides_say_another():
    jobs = [["seed=0"], ["seed=7", "hydra.sweep.subdir=7"]]
    assert numbered_points(jobs, 3) == [Point("3", ("seed=0",)), Point("7", ("seed=7",))]


def test_a_point_is_named_by_what_not_all_points_have():
    assert point_names([("a=1", "b=1"), ("a=1", "b=2")]) == ["b=1", "b=2"]
    assert point_names([("a=1", "b=1")]) == ["a=1 b=1"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"status": "finished"}', "finished"),
        ('{"status": "failed", "error": "x"}', "failed"),
        ("{", "lost"),
        ("[]", "lost"),
        (None, "lost"),
    ],
)
def test_a_run_without_a_readable_summary_is_lost(tmp_path, text, status):
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
    assert outcome(tmp_path)[0] == status


def test_of_many_lines_a_few_are_told_and_the_rest_counted():
    assert abridged(["x"] * 25) == ["x"] * 20 + ["… and 5 more"]
    assert abridged(["x"] * 3) == ["x"] * 3
