"""Curves that are read piece by piece are those of the whole file, and thinning loses no extreme."""

import csv
import random

import pytest

from isogain.analysis.board import live_curves as module
from isogain.analysis.board.live_curves import Curves, thinned
from isogain.record.metrics_csv import Table


def whole(path):
    """Every column of the file as it is now, by csv's own reader."""
    found = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name != "step" and value:
                    steps, values = found.setdefault(name, ([], []))
                    steps.append(float(row["step"]))
                    values.append(float(value))
    return found


def read(curves):
    return {name: curves[name] for name in curves.columns if name != "step" and curves[name][0]}


def test_what_is_read_while_a_run_writes_is_what_the_file_holds_at_every_moment(tmp_path):
    draw, path = random.Random(0), tmp_path / "metrics.csv"
    table, curves = Table(path), Curves(path)
    for step in range(60):
        names = ["epoch", "train/loss", *(["val/acc"] if step > 20 else []), f"late/{step // 30}"]
        for name in draw.sample(names, draw.randint(1, len(names))):
            table.add(step, {name: draw.random()})
            if (
                draw.random() < 0.7
            ):  # also in the middle of a row, which is then written again in place
                table.flush()
                curves.refresh()
                assert read(curves) == whole(path)
    curves.refresh()
    assert not curves.refresh()


def test_a_line_that_a_kill_cut_short_is_left_out_and_read_once_it_is_whole(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"step,a\r\n1,2\r\n2,")
    curves = Curves(path)
    curves.refresh()
    assert curves["a"] == ([1], [2])
    path.write_bytes(b"step,a\r\n1,2\r\n2,7\r\n")
    curves.refresh()
    assert curves["a"] == ([1, 2], [2, 7]) and curves.latest == {"a": 7}


def test_a_run_that_began_again_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n1,2\n2,3\n3,4\n")
    curves = Curves(path)
    curves.refresh()
    path.write_text("step,b\n1,9\n")
    curves.refresh()
    assert curves["a"] == ([], []) and curves["b"] == ([1], [9])


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "step,a\nx,2\n", "\n\n", "step,a\n1,\xff\n", "step,a\n,2\n"]
)
def test_what_is_no_table_raises_a_value_error_or_key_error_and_nothing_else(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises((ValueError, KeyError)):
        Curves(path).refresh()


@pytest.mark.parametrize("length", [1, 5, 99, 1000])
@pytest.mark.parametrize("points", [5, 20, 101])
def test_thinning_keeps_the_ends_and_the_extremes_in_order(length, points):
    values = [random.Random(length).gauss(0, 1) for _ in range(length)]
    steps, kept = thinned((list(range(length)), values), points)
    assert len(kept) == len(steps) <= max(points, 1)
    assert steps == sorted(set(steps)) and [values[s] for s in steps] == kept
    assert {steps[0], steps[-1]} == {0, length - 1}
    assert {min(values), max(values)} <= set(kept)


def test_thinning_passes_over_nan():
    values = [float("nan")] * 50 + [7.0] + [float("nan")] * 50
    assert 7.0 in thinned((list(range(101)), values), 10)[1]


def test_memory_is_bounded_and_a_spike_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 50)
    path = tmp_path / "metrics.csv"
    curves = Curves(path)
    lines = [f"{i},{1000 if i == 333 else i % 7}\n" for i in range(2000)]
    for piece in range(0, 2000, 100):
        path.write_text("step,a\n" + "".join(lines[: piece + 100]))
        curves.refresh()
    steps, values = curves["a"]
    assert len(values) <= 101 and max(values) == 1000 and steps[values.index(1000)] == 333
    assert steps[0] == 0 and steps[-1] == 1999
