"""A run that is resumed in a folder whose files something has damaged goes on, and says what is lost."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
from runs import metrics, small_run, summary

from isogain.config.errors import FolderLost, UserError
from isogain.record.metrics_csv import Table
from isogain.record.spectra_npz import Arrays

FEW = ("data=adding", "data.T=4", "trainer.max_epochs=2", "callbacks.checkpoints.every=3")


class Crash(pl.Callback):
    """At the end of step 8 of 12, after the checkpoint of step 6."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.global_step == 8:
            raise ZeroDivisionError


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    small_run(out, *FEW)
    return out


@pytest.fixture(scope="module")
def crashed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("crashed") / "run"
    with pytest.raises(ZeroDivisionError):
        small_run(out, *FEW, extra={"crash": Crash()})
    return out


def cut(share: float) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, int(share * path.stat().st_size))


def nul(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


DAMAGES = {
    "empty": cut(0),
    "cut": cut(0.7),
    "NULs": nul,
    "noise": noise,
    "missing": Path.unlink,
    "pipe": pipe,
    "folder": folder,
    "link": link,
}
FILES = ["metrics.csv", "spectra.npz", "attempts.jsonl", "summary.json", "overrides.yaml"]


def resumed(crashed: Path, out: Path, name: str, damage: str) -> Path:
    shutil.copytree(crashed, out)
    DAMAGES[damage](out / name)
    assert small_run(out, *FEW, "resume=true")["status"] == "finished"
    return out


@pytest.mark.parametrize("damage", ["cut", "NULs", "missing", "pipe"])
def test_a_damaged_metrics_csv_is_set_aside_and_the_steps_that_are_lost_are_named(
    whole, crashed, tmp_path, caplog, damage
):
    with caplog.at_level(logging.WARNING):
        out = resumed(crashed, tmp_path / "run", "metrics.csv", damage)
    told = [r.getMessage() for r in caplog.records if "metrics.csv" in r.getMessage()]
    assert len(told) == 1 and "up to step 6 are lost" in told[0] and "\n" not in told[0]
    assert damage == "missing" or "set aside as metrics.csv.damaged-1" in told[0]
    assert (out / "metrics.csv.damaged-1").exists() == (damage != "missing")
    expected, found = metrics(whole), metrics(out)
    filled = lambda row: {name: value for name, value in row.items() if value}  # noqa: E731
    later = [filled(row) for row in expected if int(row["step"]) > 6]
    assert [filled(row) for row in found if int(row["step"]) > 6] == later
    kept = [filled(row) for row in found if int(row["step"]) < 6]
    assert all(row in [filled(other) for other in expected] for row in kept)
    assert bool(kept) == (damage == "cut")


@pytest.mark.parametrize("damage", ["cut", "noise", "pipe"])
def test_a_damaged_spectra_npz_is_set_aside_and_what_is_lost_is_named(
    whole, crashed, tmp_path, caplog, damage
):
    with caplog.at_level(logging.WARNING):
        out = resumed(crashed, tmp_path / "run", "spectra.npz", damage)
    (told,) = [r.getMessage() for r in caplog.records if "spectra.npz" in r.getMessage()]
    assert "events of jacobian/spectrum are lost, up to step" in told
    assert "set aside as spectra.npz.damaged-1" in told and "\n" not in told
    with np.load(out / "spectra.npz") as found, np.load(whole / "spectra.npz") as expected:
        steps = expected["jacobian/spectrum/step"]
        assert found["jacobian/spectrum/step"].tolist() == steps[steps > 6].tolist()
        np.testing.assert_array_equal(
            found["jacobian/spectrum"], expected["jacobian/spectrum"][steps > 6]
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_goes_on_whatever_befell_a_file_of_its_folder(crashed, tmp_path, name, damage):
    assert (crashed / name).exists()
    out = resumed(crashed, tmp_path / "run", name, damage)
    assert summary(out)["steps"] == 12 and metrics(out)[-1]["test/loss"]


def test_a_file_cut_at_any_byte_loses_no_row_that_can_be_read(tmp_path, caplog):
    path = tmp_path / "metrics.csv"
    table = Table(path)
    for step in (0, 4, 8):
        table.add(step, {"epoch": 0, "a": step / 7})
    table.sync()
    extent, data = table.extent(), path.read_bytes()
    for end in range(len(data) + 1):
        for junk in (b"", b"\0" * 9, b"\xff\n3,\n"):
            for aside in tmp_path.glob("*.damaged-*"):
                aside.unlink()
            path.write_bytes(data[:end] + junk)
            caplog.clear()
            again = Table(path)
            with caplog.at_level(logging.WARNING):
                again.rewind(8, extent)
            whole = data[:end].count(b"\n")
            assert again.extent().get("rows", 0) == max(whole - 1, 0)
            sound = whole == 4 and junk in (b"", b"\0" * 9)
            assert len(caplog.records) == (not sound)
            assert (tmp_path / "metrics.csv.damaged-1").exists() == (not sound)
            if whole and whole < 4:
                assert (
                    f"after step {(0, 4, 8)[whole - 2]} up to step 8" in caplog.text or whole == 1
                )


def test_of_a_npz_with_one_bad_array_the_others_are_taken_up(tmp_path, caplog):
    path = tmp_path / "spectra.npz"
    np.savez(path, **{"a": np.ones((2, 3)), "a/step": [0, 4], "b": ["x", "y"], "b/step": [0, 4]})
    arrays = Arrays(path)
    with caplog.at_level(logging.WARNING):
        arrays.rewind(4, {"a": {"events": 2, "last": 4}, "b": {"events": 2, "last": 4}})
    assert list(arrays.events) == ["a"] and "b cannot be read" in caplog.text
    arrays.flush()
    with np.load(path) as left:
        assert left.files == ["a", "a/step"]


class Gone(pl.Callback):
    """At the end of step 5 the folder is removed, or another thing put in its place."""

    def __init__(self, out: Path, what: str) -> None:
        self.out, self.what = out, what

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.global_step == 5 and self.out.is_dir():
            shutil.move(self.out, self.out.with_name("moved"))
            if self.what == "a file":
                self.out.write_text("a file")
            if self.what == "another run's folder":
                shutil.copytree(self.out.with_name("moved"), self.out)


@pytest.mark.parametrize("what", ["nothing", "a file", "another run's folder"])
def test_a_folder_that_is_gone_ends_its_run_with_a_line_and_gets_nothing_written(tmp_path, what):
    out = tmp_path / "run"
    with pytest.raises(FolderLost, match=f"^out={out}: removed or replaced[^\n]*$"):
        small_run(out, *FEW, extra={"gone": Gone(out, what)})
    assert issubclass(FolderLost, UserError)
    match what:
        case "nothing":
            assert not out.exists()
        case "a file":
            assert out.read_text() == "a file"
        case _:
            for name in ("metrics.csv", "attempts.jsonl"):
                assert (out / name).read_bytes() == (tmp_path / "moved" / name).read_bytes()
            assert not (out / "summary.json").exists()
