"""Weights & Biases holds what the run folder holds: real offline runs, read back by W&B's own reader."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
from cases import slow_but
from mirrors import folders, kind, mirrored, records
from runs import metrics, small_run, summary

from isogain.callbacks.jacobian import EDGES
from isogain.record.logger import Spectrum
from isogain.tracking.wandb_logger import clipped, heat_map

SPECTRUM = "jacobian/spectrum"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return mirrored(tmp_path_factory.mktemp("mirror") / "run", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def found(run) -> list[dict[str, Any]]:
    (folder,) = folders(run)
    return records(folder)


@pytest.fixture(scope="module")
def history(found) -> list[dict[str, Any]]:
    return [record["item"] for record in kind(found, "history")]


@pytest.fixture(scope="module")
def events(history) -> list[dict[str, Any]]:
    """The events with the Jacobian's spectrum."""
    return [item for item in history if f"{SPECTRUM}._type" in item]


def test_every_spectrum_is_a_histogram_of_64_bins_with_the_same_edges(events):
    assert {event[f"{SPECTRUM}._type"] for event in events} == {"histogram"}
    assert {len(event[f"{SPECTRUM}.values"]) for event in events} == {64}
    for event in events:
        np.testing.assert_allclose(event[f"{SPECTRUM}.bins"], EDGES, rtol=1e-12)


def test_the_spectra_stand_at_the_steps_of_the_run_folder(run, events):
    with np.load(run / "spectra.npz") as arrays:
        steps = arrays[f"{SPECTRUM}/step"].tolist()
    assert [event["trainer/global_step"] for event in events] == steps == [0, 7, 12]


def test_a_histogram_counts_every_singular_value_of_the_run_folder(run, events):
    with np.load(run / "spectra.npz") as arrays:
        for event, values in zip(events, arrays[SPECTRUM], strict=True):
            counts, _ = np.histogram(values.clip(EDGES[0], EDGES[-1]), EDGES)
            assert event[f"{SPECTRUM}.values"] == counts.tolist()
            assert sum(event[f"{SPECTRUM}.values"]) == values.size == 2 * 8


def test_every_scalar_stands_at_its_step_and_equals_the_run_folders(run, history):
    rows = {int(row["step"]): row for row in metrics(run)}
    seen = {step: {} for step in rows}
    for item in history:
        seen[item["trainer/global_step"]] |= item
    for step, row in rows.items():
        for name, value in row.items():
            if value and name != "step":
                assert seen[step][name] == float(value), (step, name)


HISTOGRAMS = {SPECTRUM, "weights/recurrent"}


def test_at_the_end_of_a_run_every_histogram_has_a_heat_map(history):
    maps = {name for name in history[-1] if "/heat_map" in name}
    assert {name.split("/heat_map")[0] for name in maps} == HISTOGRAMS
    for name in HISTOGRAMS:
        events = sum(f"{name}.values" in item for item in history)
        shape = history[-1][f"{name}/heat_map.height"], history[-1][f"{name}/heat_map.width"]
        assert shape == (4 * 64, 4 * events)


def test_a_heat_map_has_a_column_an_event_and_large_values_on_top():
    image = heat_map(np.array([[4, 1, 0], [0, 0, 0], [0, 0, 9]]), pixels=1)
    assert image.tolist() == [[0, 0, 255], [127, 0, 0], [255, 0, 0]]


def test_nothing_but_scalars_and_spectra_of_the_run_folder_is_logged(run, history):
    logged = {
        name
        for item in history
        for name in item
        if not name.startswith("_") and "/heat_map" not in name
    }
    of_spectra = {f"{name}.{part}" for name in HISTOGRAMS for part in ("_type", "bins", "values")}
    assert logged == set(metrics(run)[0]) - {"step"} | of_spectra | {"trainer/global_step"}


def test_the_config_is_there_with_every_value_filled_in(found):
    config = kind(found, "run")[0]["config"]["update"]
    assert config["reg"]["gain"] == config["init"]["gain"] == 1
    assert config["model"]["hidden"] == 8 and config["callbacks"]["jacobian"]["every"] == 7


def test_the_summary_is_that_of_the_run_folder(run, found):
    seen = {}
    for update in kind(found, "summary"):
        seen |= update.get("update", {})
    assert {name: seen[name] for name in summary(run)} == summary(run)
    assert seen["status"] == "finished" and "test/acc" in seen
    assert kind(found, "exit")[-1]["exit_code"] == 0


def test_the_step_is_the_axis_of_every_metric(found):
    axes = {m.get("glob_name"): m.get("step_metric") for m in kind(found, "metric")}
    assert axes["*"] == "trainer/global_step"


class Crash(pl.Callback):
    def on_train_batch_end(self, trainer, *args) -> None:
        if trainer.global_step == 8:
            raise ZeroDivisionError


def identity(out: Path) -> str:
    (name,) = {folder.name.rsplit("-", 1)[1] for folder in folders(out)}
    assert name == (out / "wandb" / "id").read_text()
    return name


def test_runs_of_one_process_are_runs_of_their_own(tmp_path):
    runs = [mirrored(tmp_path / name, "trainer.max_steps=1") for name in "ab"]
    assert identity(runs[0]) != identity(runs[1])
    assert [len(folders(run)) for run in runs] == [1, 1]
    for run in runs:
        (folder,) = folders(run)
        assert kind(records(folder), "run")[0]["display_name"] == run.name


@pytest.mark.slow
def test_a_failed_run_is_marked_and_a_resumed_one_keeps_its_id(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        mirrored(out, extra={"crash": Crash()})
    before = identity(out)
    (folder,) = folders(out)
    assert kind(records(folder), "exit")[-1]["exit_code"] == 1
    mirrored(out, "resume=true")
    assert identity(out) == before
    resumed = [item["item"] for item in kind(records(max(folders(out))), "history")]
    with np.load(out / "spectra.npz") as arrays:
        events = len(arrays[SPECTRUM])
    assert resumed[-1][f"{SPECTRUM}/heat_map.width"] == 4 * events
    assert events > sum(f"{SPECTRUM}.values" in item for item in resumed)


@pytest.mark.parametrize("id_left", slow_but(["whole", "cut"]))
def test_rows_and_histograms_that_a_kill_took_from_w_and_b_are_made_up_once(tmp_path, id_left):
    """The kill is one before which nothing reached W&B's file, as a power cut leaves it."""
    out = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        mirrored(out, "callbacks.checkpoints.every=4", extra={"crash": Crash()})
    before = identity(out)
    (fragment,) = folders(out)
    for file in fragment.glob("*.wandb"):
        file.write_bytes(b"")
    if id_left == "cut":
        (out / "wandb" / "id").write_bytes(b"")
    mirrored(out, "resume=true")
    assert identity(out) == before
    logged = [item["item"] for item in kind(records(max(folders(out))), "history")]
    histories = [item for item in logged if f"{SPECTRUM}.values" in item]
    with np.load(out / "spectra.npz") as arrays:
        steps, values = arrays[f"{SPECTRUM}/step"].tolist(), arrays[SPECTRUM]
        assert arrays[f"{SPECTRUM}/edges"].tolist() == EDGES.tolist()
    assert sorted(item["trainer/global_step"] for item in histories) == steps
    for item in histories:
        event = values[steps.index(item["trainer/global_step"])]
        expected, _ = np.histogram(clipped(Spectrum(event, EDGES)), EDGES)
        assert item[f"{SPECTRUM}.values"] == expected.tolist()


def test_a_run_without_w_and_b_imports_nothing_of_it_and_leaves_nothing_of_it(
    tmp_path, monkeypatch
):
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise
    assert small_run(tmp_path / "run", "trainer.max_steps=1")["status"] == "finished"
    assert not (tmp_path / "run" / "wandb").exists()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-9, 0.5, 1e9], [1e-6, 0.5, 1e3]),
        ([0.0, np.inf], [1e-6, 1e3]),
        ([[1.0, 2.0], [3.0, 4.0]], [1, 2, 3, 4]),
    ],
    ids=["outside", "infinite", "matrix"],
)
def test_values_beyond_the_edges_count_in_the_outermost_bins(values, expected):
    found = clipped(Spectrum(np.array(values), EDGES))
    np.testing.assert_allclose(found, expected)
    assert np.histogram(found, EDGES)[0].sum() == len(expected)
