"""Of a metrics.csv of any size every row that can be read is read, by either parser the same."""

import math
import random
import sys

import numpy as np
import pytest

from isogain.record import metrics_numbers, metrics_rows
from isogain.record.bounded import Damaged, opened
from isogain.record.metrics_rows import header, last_line, last_row, pieces

COLUMNS = ["step", "epoch", "a", "b"]


def read(path):
    """Columns, rows as lists with None for what was not logged, and how many lines were passed over."""
    with opened(path) as file:
        columns, begin = header(file, path), file.tell()
        _, end, _ = last_line(file, begin)
        file.seek(begin)
        parts = list(pieces(file, columns, end))
    rows = [
        [v if there else None for v, there in zip(values, logged, strict=True)]
        for part in parts
        for values, logged in zip(part.values.tolist(), part.logged.tolist(), strict=True)
    ]
    return columns, rows, sum(part.unreadable for part in parts)


def write(path, lines, end="\r\n"):
    path.write_bytes("".join(line + end for line in [",".join(COLUMNS), *lines]).encode())
    return path


def drawn(count):
    draw = random.Random(0)
    rows = [[float(i), float(i // 9), draw.gauss(0, 1), draw.gauss(0, 1e9)] for i in range(count)]
    for row in rows:
        row[2 + draw.randrange(2)] = None if draw.random() < 0.3 else row[3]
    lines = [",".join("" if v is None else repr(v) for v in row) for row in rows]
    return rows, lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("pandas", [True, False])
def test_every_digit_is_read_piece_by_piece_with_pandas_and_without(
    tmp_path, monkeypatch, pandas, end
):
    monkeypatch.setattr(metrics_rows, "PIECE", 5_000)
    monkeypatch.setattr(metrics_numbers, "WORTH", 100)
    if not pandas:
        monkeypatch.setitem(sys.modules, "pandas", None)
    rows, lines = drawn(1_000)
    assert read(write(tmp_path / "m.csv", lines, end)) == (COLUMNS, rows, 0)


@pytest.mark.parametrize("bad", ["x,0,1,2", "1", "1,2,3,4,5", "", ",0,1,1", "-1,0,1,1", "1.5,0,1,1",
                                 "inf,0,1,1", "nan,0,1,1", "1,0,\r,x", "1,0,1,\0", '1,0,"1,1', "é,0,1,1",
                                 "1,0,\t1,1", "1,0,1\x0b,1",
                                 "1,0," + "x" * 131_073 + ",1", "1" * 3_000_000])  # fmt: skip
@pytest.mark.parametrize("worth", [1, 1 << 30])
def test_a_line_that_cannot_be_read_costs_no_other(tmp_path, monkeypatch, bad, worth):
    monkeypatch.setattr(metrics_numbers, "WORTH", worth)
    rows, lines = drawn(40)
    found = read(write(tmp_path / "m.csv", [*lines[:20], bad, *lines[20:]], "\n"))
    assert found == (COLUMNS, rows, 1)


def test_nan_and_infinity_are_logged_values_and_an_empty_cell_is_none(tmp_path, monkeypatch):
    for worth in (1, 1 << 30):
        monkeypatch.setattr(metrics_numbers, "WORTH", worth)
        _, ((*_, a, b), (*_, c, d)), _ = read(write(tmp_path / "m.csv", ["1,0,nan,", "2,0,-inf,1"]))
        assert math.isnan(a) and b is None and (c, d) == (-math.inf, 1)


def test_a_line_that_a_kill_cut_short_is_none(tmp_path):
    path = write(tmp_path / "m.csv", ["1,0,2,3"])
    path.write_bytes(path.read_bytes() + b"2,0,4,")
    assert read(path)[1:] == ([[1, 0, 2, 3]], 0)
    assert last_row(path) == {"step": 1, "epoch": 0, "a": 2, "b": 3}


@pytest.mark.parametrize("text", ["", "step,epo", "step,epoch\n"])
def test_a_file_without_a_row_has_no_last_row(tmp_path, text):
    (tmp_path / "m.csv").write_text(text)
    assert last_row(tmp_path / "m.csv") is None


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,step\n", "\n", '"step\n', "x" * 2_000_000])
def test_what_is_no_table_is_damaged(tmp_path, text):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(Damaged):
        last_row(tmp_path / "m.csv")


def test_columns_beyond_the_first_rows_are_by_name(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("epoch,a,step\n3,0.5,7\n")
    assert last_row(path) == {"epoch": 3, "a": 0.5, "step": 7}
    assert np.isclose(read(path)[1][0], [3, 0.5, 7]).all()
