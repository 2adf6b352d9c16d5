"""One walk finds every run once, wherever links lead, and the sweeps that list them."""

import json

import pytest
from run_folders import write_run

from isogain.analysis.status import survey
from isogain.record.folder_walk import DEPTH, find


def sweep(folder, *names):
    points = [{"folder": name, "overrides": [f"seed={i}"]} for i, name in enumerate(names)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"points": points}))
    return folder


def test_a_run_is_found_once_under_its_own_path_however_many_links_lead_there(tmp_path):
    run = write_run(tmp_path / "z" / "0", {}, {})
    for name, target in {"a": ".", "b": "z", "c": "z/0"}.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "z" / "up").symlink_to("..")
    found = find([tmp_path])
    assert found.folders == [run] and found.again == {tmp_path / "c": run} and not found.skipped


def test_a_link_out_leads_to_runs_but_not_to_a_folder_above(tmp_path):
    write_run(tmp_path / "elsewhere" / "0", {}, {})
    root = tmp_path / "root"
    root.mkdir()
    (root / "kept").symlink_to("../elsewhere")
    (root / "above").symlink_to("..")
    (root / "everything").symlink_to("/")
    found = find([root])
    assert found.folders == [root / "kept" / "0"]
    assert set(found.skipped) == {str(root / "above"), str(root / "everything")}


def test_a_point_whose_folder_is_a_link_is_that_run(tmp_path):
    run = write_run(tmp_path / "kept" / "7", {}, {})
    (sweep(tmp_path / "sweep", "0", "1") / "0").symlink_to(run)
    (found,) = [s for s in survey.find(tmp_path) if s.plan]
    assert [run.record.begun for run in found.runs] == [True, False]
    assert tmp_path / "sweep" / "0" not in find([tmp_path]).ordered


def test_runs_of_a_sweep_and_runs_beside_it_are_told_apart(tmp_path):
    for name in ("s/0", "s/more/5", "loose/1"):
        write_run(tmp_path / name, {}, {})
    sweep(tmp_path / "s", "0", "1")
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    inside, loose = survey.find(tmp_path)
    assert [run.name for run in inside.runs] == ["0", "1", "more/5"]
    assert inside.problems == ["more/5: a run that sweep.json does not list"]
    assert [run.name for run in loose.runs] == ["loose/1"]
    assert loose.problems == ["empty: holds no run"]


def test_folders_that_are_too_deep_are_noted(tmp_path):
    write_run(tmp_path / "/".join(["d"] * (DEPTH + 2)), {}, {})
    write_run(tmp_path / "/".join(["e"] * (DEPTH - 1)), {}, {})
    found = find([tmp_path])
    assert len(found.folders) == 1 and "too deep" in str(found.skipped)


@pytest.mark.parametrize(
    "name", ["../0", "/etc", ".", "", "a/../../b", "a\0b", "x" * 256, "y/" * 3000]
)
def test_a_point_lies_below_its_sweep_or_is_left_out_and_told(tmp_path, name):  # fmt: skip
    write_run(tmp_path / "0", {}, {})
    sweep(tmp_path / "s", "0", name)
    found = find([tmp_path])
    assert list(found.ordered) == [tmp_path / "s" / "0"]
    assert "outside of the sweep" in found.skipped[str(tmp_path / "s" / "sweep.json")]
