"""Every tool over every folder that anybody may have written: it ends, without a traceback, commands nothing to the
terminal, and shows the sound runs beside the bad one, whose problem it tells.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cases import slow_but
from hostile import SECRET, hazards, three_runs

from isogain.analysis.board.__main__ import main as board
from isogain.analysis.board.index import Index
from isogain.analysis.plots.__main__ import main as plots
from isogain.analysis.report.__main__ import main as results
from isogain.analysis.status import rerun, survey
from isogain.analysis.status.__main__ import main as status
from isogain.tracking import sync

HAZARDS = hazards()
SILENT = {  # what a run may hold: odd values, no damage
    *("config.yaml: text 7", "overrides.yaml: text 4", "overrides.yaml: text 5"),
    *("choices.yaml: text 1", "log.txt: bytes", "log.txt: text 0", "log.txt: text 1"),
    *("metrics.csv: text 2", "metrics.csv: text 13", "metrics.csv: text 14"),
    *("metrics.csv: text 15", "summary.json: text 5", "summary.json: text 7"),
    *("summary.json: text 9", "summary.json: text 11", "summary.json: text 12"),
    *("spectra.npz: no values", "spectra.npz: not finite"),
    "spectra.npz: a name as long as it gets",
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture, code: int, *allowed: int) -> str:
    """What a tool has printed, which no terminal obeys."""
    out, err = capsys.readouterr()
    told = out + err
    assert code in allowed, told
    assert "Traceback" not in told and SECRET not in told
    assert all(c.isprintable() or c == "\n" for c in told)
    return told


def check_status(root: Path, capsys: pytest.CaptureFixture, count: int) -> None:
    told = shown(capsys, status([str(root), "--all"]), 0, 1, 3)
    assert sum("step 10" in line and " done " in line for line in told.splitlines()) >= 2 * count
    assert not any(line.strip().startswith(("rm ", "run this")) for line in told.splitlines())
    shown(capsys, status([str(root), "--json"]), 0, 1, 3)


def check_results(root: Path, capsys: pytest.CaptureFixture, count: int) -> None:
    out = root.parent / "report"
    kinds = [f"--{kind}={out / kind}" for kind in ("csv", "latex", "markdown")]
    shown(capsys, results([str(root), "--by", "reg", *kinds]), 0)
    table = pd.read_csv(out / "csv")
    for name in ("a", "c"):
        found = table[table["folder"].str.endswith(f"/{name}")]
        assert (found["status"] == "finished").all() and len(found) >= count
    texts = [str(cell) for column in table for cell in [column, *table[column]]]
    assert not any(text.startswith(("=", "@", "\t")) for text in texts)


def check_plots(root: Path, capsys: pytest.CaptureFixture, name: str) -> None:
    figures = {"metrics.csv": ["learning", "weight_gradients"], "spectra.npz": ["heatmap", "start"]}
    for figure in figures.get(name, ["learning"]):
        by = [] if figure == "start" else ["--by", "seed"]
        asked = [str(root), "--figure", figure, *by, "--out", str(root.parent / "figure.svg")]
        drawn = 1 if figure == "weight_gradients" else 0  # no run has any
        shown(capsys, plots(asked), drawn)


def check_board(root: Path, capsys: pytest.CaptureFixture, count: int) -> dict[str, Any]:
    index = Index(root)
    for question in (("profiles",), ("curves", "val/acc"), ("runs",)):
        json.dumps(table := index.answer(*question), allow_nan=False).encode()
    rows = {row["name"]: row for row in table["runs"]}
    sound = [row for name, row in rows.items() if os.path.basename(name) in ("a", "c")]
    assert len(sound) >= 2 * count and all(row["problems"] == {} for row in sound)
    for row in rows.values():
        detail = json.dumps(index.answer("run", str(row["id"])), allow_nan=False)
        assert SECRET not in detail
    page = root.parent / "page.html"
    shown(capsys, board([str(root), "--static", str(page)]), 0)
    assert SECRET not in page.read_text()
    return index.answer("runs")


def check_others(root: Path, capsys: pytest.CaptureFixture) -> None:
    shown(capsys, sync.main([str(root)]), 0, 1)
    for sweep in survey.find(root):
        survey.judge([sweep])
        runs = rerun.rerunnable(sweep, diverged=True)
        jobs = rerun.points(sweep, runs)
        assert all(isinstance(o, str) for job in jobs for o in job)
        rerun.foreign_program(sweep), rerun.foreign_override(runs)


def befallen(folder: Path, hazard: Callable[[Path], None]) -> Path:
    root = three_runs(folder / "root")
    hazard(root)
    return root


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.mark.parametrize("every", slow_but([4, 1], 0))
@pytest.mark.slow
def test_no_tool_is_silenced_by_all_of_them_together(tmp_path, capsys, every):
    together = list(HAZARDS.values())[::every]
    for number, hazard in enumerate(together):
        befallen(tmp_path / "all" / str(number), hazard)
    root, count = tmp_path / "all", len(together)
    check_status(root, capsys, count)
    check_results(root, capsys, count)
    check_board(root, capsys, count)
    check_others(root, capsys)
    for name in ("metrics.csv", "spectra.npz"):
        check_plots(root / "0", capsys, name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", HAZARDS)
def test_a_bad_run_has_its_problem_in_its_row_and_the_others_are_shown(tmp_path, capsys, name):
    root = befallen(tmp_path, HAZARDS[name])
    check_status(root, capsys, 1)
    check_results(root, capsys, 1)
    check_plots(root, capsys, name.partition(":")[0])
    check_others(root, capsys)
    table = check_board(root, capsys, 1)
    row = next((row for row in table["runs"] if row["name"] == "bad"), {"problems": {}})
    told = row["problems"] or row.get("status") == "broken" or table["skipped"]
    expected = ":" in name and name not in SILENT and not name.startswith(("sweep", "attempts"))
    assert told or not expected
    assert not (tmp_path / "owned").exists()
