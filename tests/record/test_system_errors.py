"""An error of the system at any one call: a file is the old one or the new one, and nothing that was logged is lost."""

import builtins
import csv
import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogain.config.errors import UserError
from isogain.record import atomic
from isogain.record.attempts_jsonl import Attempts
from isogain.record.metrics_csv import Table
from isogain.record.run_folder import RunFolder
from isogain.record.spectra_npz import Arrays
from isogain.record.sweep_json import Point, enlist, listed

CALLS = ("open", "fsync", "replace", "pwrite", "write", "ftruncate", "rename", "link", "unlink")
MOST = 60  # calls of one action


class Failing:
    """The `at`-th of the calls above raises, and so does every call after it while it is `for_good`."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, for_good: bool = False) -> None:
        self.at, self.for_good, self.calls = at, for_good, 0
        for name in CALLS:
            patch.setattr(os, name, self.failing(getattr(os, name)))
        patch.setattr(builtins, "open", self.failing(builtins.open))
        patch.setattr(Path, "open", self.failing(Path.open))

    @property
    def raised(self) -> bool:
        return self.calls >= self.at

    def failing(self, call: Callable) -> Callable:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.at or (self.for_good and self.calls > self.at):
                if call.__name__ in ("pwrite", "write") and self.calls == self.at:
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2], *arguments[2:])
                raise OSError(errno.ENOSPC, "No space left on device", "a file")
            return call(*arguments, **options)

        return wrapped


def rows(path: Path) -> list[dict[str, str]]:
    """The whole lines; where no call succeeds any more, half a line at the end cannot be taken back."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return list(csv.DictReader(io.StringIO(whole.decode(), newline="")))


STEPS = {
    "a row at the end": [(6, {"a": 3.5})],
    "the last row filled in": [(4, {"b": 7.25})],
    "a new column": [(6, {"new": 1.5})],
    "an earlier row": [(2, {"b": 9.5})],
    "all of them": [(2, {"b": 9.5}), (4, {"new": 7.25}), (6, {"a": 1.5}), (8, {"a": 2.5})],
}


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("what", STEPS)
def test_no_row_is_lost_whichever_call_fails_and_the_file_is_old_or_new(tmp_path, what, for_good):
    first = [(0, {"a": 1.0, "b": 1.0}), (2, {"a": 2.0}), (4, {"a": 3.0})]
    for at in range(1, MOST):
        path = tmp_path / str(at) / "metrics.csv"
        path.parent.mkdir()
        table = Table(path)
        for step, values in first:
            table.add(step, values)
        table.sync()
        old, raised = path.read_bytes(), False
        with pytest.MonkeyPatch.context() as patch:
            fault = Failing(patch, at, for_good)
            for step, values in STEPS[what]:
                try:
                    table.add(step, values)
                except OSError:
                    raised = True
            try:
                table.sync()
            except OSError:
                raised = True
        assert raised or not fault.raised or path.read_bytes() != old
        assert [row["step"] for row in rows(path)][:3] == ["0", "2", "4"]
        assert all(None not in row.values() and None not in row for row in rows(path))
        table.sync()
        expected = {step: dict(values) for step, values in first}
        for step, values in STEPS[what]:
            expected.setdefault(step, {}).update(values)
        found = {
            int(row.pop("step")): {k: float(v) for k, v in row.items() if v} for row in rows(path)
        }
        assert found == expected, (what, at)
        if not fault.raised:
            return
    raise AssertionError("it makes more calls than were tried")


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_no_event_of_a_spectrum_is_lost_whichever_call_fails(tmp_path, for_good):
    for at in range(1, MOST):
        path = tmp_path / str(at) / "spectra.npz"
        path.parent.mkdir()
        arrays = Arrays(path)
        arrays.add(0, "s", np.ones(3))
        arrays.flush()
        with pytest.MonkeyPatch.context() as patch:
            fault = Failing(patch, at, for_good)
            arrays.add(5, "s", np.zeros(3))
            failed = False
            try:
                arrays.flush()
            except OSError:
                failed = True
        with np.load(path) as left:
            assert left["s/step"].tolist() in ([0], [0, 5])
        assert failed == arrays.unwritten()
        arrays.flush()
        with np.load(path) as left:
            assert left["s/step"].tolist() == [0, 5]
        if not fault.raised:
            return
    raise AssertionError("it makes more calls than were tried")


def attempts(folder: Path) -> Callable[[], Any]:
    log = Attempts(folder)
    log.start(0)
    return lambda: log.end("finished", 9)


def summary(folder: Path) -> Callable[[], Any]:
    run = RunFolder(folder)
    run.write_summary({"status": "failed"})
    return lambda: run.write_summary({"status": "finished"})


def sweep(folder: Path) -> Callable[[], Any]:
    enlist(folder, [Point("0", ("a=1",))], "local")
    return lambda: enlist(folder, [Point("0", ("a=1",)), Point("1", ("a=2",))], "local")


def description(folder: Path) -> Callable[[], Any]:
    def write(text: str) -> None:
        with atomic.replaced(folder / "id") as part:
            part.write_text(text)

    write("old")
    return lambda: write("new")


READ = {
    attempts: lambda folder: [event["event"] for event in Attempts(folder).events()],
    summary: lambda folder: json.loads((folder / "summary.json").read_text()),
    sweep: lambda folder: [point.folder for point in listed(folder)],
    description: lambda folder: (folder / "id").read_text(),
}


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)
def test_whichever_call_fails_a_file_is_what_it_was_or_what_it_was_to_be(tmp_path, kind, for_good):
    for at in range(1, MOST):
        folder = tmp_path / str(at)
        folder.mkdir()
        act = kind(folder)
        old = READ[kind](folder)
        with pytest.MonkeyPatch.context() as patch:
            fault = Failing(patch, at, for_good)
            try:
                act()
            except (OSError, UserError):
                pass
        left = READ[kind](folder)
        act()
        new = READ[kind](folder)
        assert left in (old, new[: len(left)] if isinstance(new, list) else new)
        assert new != old
        if not fault.raised:
            return
    raise AssertionError("it makes more calls than were tried")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_a_folder_refuses_no_run(tmp_path, monkeypatch, code):
    def refusing(file: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refusing)
    summary(tmp_path)(), attempts(tmp_path)()
    table = Table(tmp_path / "metrics.csv")
    table.add(0, {"a": 1.0})
    table.sync()
    assert rows(table.path) == [{"step": "0", "epoch": "", "a": "1.0"}]


def test_a_disk_that_cannot_flush_is_an_error(tmp_path, monkeypatch):
    def failing(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError):
        summary(tmp_path)
