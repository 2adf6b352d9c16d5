"""The W&B workspace shows what runs truly log, and is saved at a server on the loopback interface; no key leaks."""

import json
import re
import sys

import forked
import pytest
from guards import PATIENCE
from mirrors import folders, kind, records
from omegaconf import OmegaConf
from runs import CONF, SMALL, small_run
from wandb_server import KEY, Views

from isogain.record import panels
from isogain.tracking import dashboard

workspaces = pytest.importorskip(
    "wandb_workspaces.workspaces", reason="extra `dashboard` not there"
)
MARKER = "0123456789abcdef0123456789abcdefMARKER00"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run with every callback, mirrored offline, while a key is in the environment."""
    out = tmp_path_factory.mktemp("dashboard") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_API_KEY", MARKER)
        patch.setenv("WANDB_SILENT", "true")
        out.mkdir()
        (out / "choices.yaml").write_text("reg: gain\n")  # as launch.job has it written
        small_run(out, "callbacks=full", "logger=wandb", "trainer.max_epochs=1", "callbacks.factors.every=6",
                  "callbacks.signals.every=6", "callbacks.curvature.every=6")  # fmt: skip
    return out


@pytest.fixture(scope="module")
def logged(run):
    """What W&B has of the run: names of its history, its config and its summary."""
    (folder,) = folders(run)
    found = records(folder)
    history = {name for r in kind(found, "history") for name in r["item"]}
    summary = {name for r in kind(found, "summary") for name in r.get("update", {})}
    return history, kind(found, "run")[0]["config"]["update"], summary


def of_panels(kind_):
    made = dashboard.workspace("p", "e")
    return [p for section in made.sections for p in section.panels if type(p).__name__ == kind_]


@pytest.mark.slow
def test_every_line_plots_metrics_are_logged(logged):
    names = {name for plot in of_panels("LinePlot") for name in plot.y}
    assert {panel.name for panel in panels.PANELS} == names <= logged[0]
    assert {plot.x for plot in of_panels("LinePlot")} == {"trainer/global_step"} <= logged[0]


def test_every_pattern_by_layer_finds_metrics(logged):
    patterns = [plot.metric_regex for plot in of_panels("LinePlot") if plot.metric_regex]
    assert len(patterns) == len(panels.BY_LAYER)
    for pattern in patterns:
        assert sum(bool(re.match(pattern, name)) for name in logged[0]) > 0, pattern


def test_every_heat_map_of_a_recurrent_network_is_logged(logged):
    (browser,) = of_panels("MediaBrowser")
    images = {
        name.removesuffix(".height") for name in logged[0] if name.endswith("heat_map.height")
    }
    assert set(browser.media_keys) - {"weights/kernel/heat_map"} <= images  # an MLP's


def test_the_coordinates_are_options_and_results_of_runs(logged):
    _, config, summary = logged
    (plot,) = of_panels("ParallelCoordinatesPlot")
    for column in plot.columns:
        name = column.metric.name
        if type(column.metric).__name__ == "Config":
            assert OmegaConf.select(OmegaConf.create(config), name) is not None, name
        else:
            assert name in summary, name


def test_the_runs_are_grouped_by_the_name_of_their_regulariser(logged):
    made = dashboard.workspace("p", "e")
    (group,) = made.runset_settings.groupby
    assert group.name == dashboard.REG and logged[1]["choices"]["reg"] == "gain"


def test_it_is_saved_at_the_server_and_its_address_told(monkeypatch, capsys, tmp_path):
    with Views() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert dashboard.main(["--project", "P", "--name", "N"]) == 0
        (view,) = server.views
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("lab", "P", "N")
    spec = json.loads(view["spec"])
    sections = spec["section"]["panelBankConfig"]["sections"]
    assert [s["name"] for s in sections][:2] == ["Learning curves", "Isometry"]
    assert capsys.readouterr().out.strip().startswith(server.url + "/lab/P?nw=")
    assert KEY not in json.dumps(view)


@pytest.mark.parametrize("case", ["refused", "no network", "no key"])
def test_without_account_or_network_it_is_one_line(monkeypatch, capsys, tmp_path, case):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(dashboard, "PATIENCE", 1)
    with Views() as server:
        server.refuses = True
        monkeypatch.setenv(
            "WANDB_BASE_URL", "http://127.0.0.1:9" if case == "no network" else server.url
        )
        monkeypatch.setenv("WANDB_API_KEY", MARKER)
        if case == "no key":
            monkeypatch.delenv("WANDB_API_KEY")
        assert dashboard.main(["--project", "P"]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("error: no workspace at W&B: ") and told.err.count("\n") == 1
    assert told.out == "" and MARKER not in told.err


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    assert dashboard.main(["--project", "P"]) == 1
    assert "pip install -e '.[dashboard]'" in capsys.readouterr().err


def test_the_key_is_in_no_file_of_a_run_and_on_no_page(run, monkeypatch, tmp_path):
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(files) > 8 and not [path for path in files if MARKER.encode() in path.read_bytes()]
    from isogain.analysis.board.__main__ import main

    monkeypatch.setenv("WANDB_API_KEY", MARKER)
    assert main([str(run.parent), "--static", str(tmp_path / "page.html")]) == 0
    assert MARKER not in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_the_key_is_not_said_on_the_terminal(tmp_path, fork_server):
    account = {"WANDB_API_KEY": MARKER, "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    options = [o for o in SMALL if o != "logger=csv"] + [f"out={tmp_path / 'run'}"]
    command = (str(CONF.parent / "train.py"), *options, "trainer.max_steps=1")
    process = forked.python(tmp_path, tmp_path / "terminal", *command, **account)
    process.join(PATIENCE)
    assert process.exitcode == 0 and "finished" in (tmp_path / "terminal").read_text()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not [path for path in files if MARKER.encode() in path.read_bytes()]
