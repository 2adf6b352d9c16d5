"""metrics.csv: a row a step, whole whenever it is read, whatever cut the run short."""

import csv
import math
import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isogain.record import metrics_csv
from isogain.record.metrics_csv import Table


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "metrics.csv"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def written(path: Path, *events: tuple[int, dict[str, float]]) -> Table:
    table = Table(path)
    for step, values in events:
        table.add(step, values)
    table.flush()
    return table


def test_a_step_has_one_row_in_the_order_of_the_steps(path):
    written(path, *((step, {"epoch": 0, "a": step / 8}) for step in (0, 4, 8)))
    assert rows(path) == [
        {"step": s, "epoch": "0", "a": a} for s, a in zip("048", ["0.0", "0.5", "1.0"], strict=True)
    ]


def test_what_is_added_to_one_step_shares_its_row(path):
    written(path, (0, {"a": 1}), (2, {"a": 3}), (2, {"b": 4}), (2, {"a": 5}))
    assert rows(path)[1] == {"step": "2", "epoch": "", "a": "5", "b": "4"}


@pytest.mark.parametrize("later", [{"a": 7}, {"b": 7}, {"a": 7, "b": 8}], ids=str)
def test_a_row_on_the_disk_can_still_be_filled_in(path, later):
    table = written(path, (0, {"a": 0}), (2, {"a": 1}))
    table.add(2, later)
    table.flush()
    assert [row["step"] for row in rows(path)] == ["0", "2"]
    expected = {"step": 2, "epoch": "", "a": 1} | later
    assert rows(path)[-1] == {name: str(value) for name, value in expected.items()}


def test_a_row_is_on_the_disk_as_soon_as_a_later_step_comes(path):
    table = written(path, (0, {"a": 0}))
    table.add(2, {"a": 1})
    assert [row["step"] for row in rows(path)] == ["0"]
    table.add(4, {"a": 2})
    assert [row["step"] for row in rows(path)] == ["0", "2"]


def test_a_new_column_leaves_blanks_in_the_rows_before(path):
    written(path, (0, {"a": 1}), (2, {"b": 2}), (4, {"a": 3, "c": 4}))
    assert list(rows(path)[0]) == ["step", "epoch", "a", "b", "c"]
    assert [[row[name] for name in "abc"] for row in rows(path)] == [
        ["1", "", ""],
        ["", "2", ""],
        ["3", "", "4"],
    ]


def test_numbers_come_back_bit_for_bit(path):
    values = [0.1 + 0.2, 1e-300, 5e-324, -1 / 3, 1e22]
    written(path, *((step, {"a": value}) for step, value in enumerate(values)))
    assert [float(row["a"]) for row in rows(path)] == values


def test_flush_writes_what_is_new_and_nothing_twice(path):
    table = written(path, (0, {"a": 1}), (2, {"a": 2}))
    before = path.read_bytes(), path.stat().st_mtime_ns
    table.flush()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_table_without_rows_writes_no_file(path):
    table = Table(path)
    table.flush()
    table.rewind(3)
    assert not path.exists()


@pytest.mark.parametrize("step", [-1, 0, 1, 2, 5, 9])
def test_rewind_cuts_the_rows_of_later_steps(path, step):
    written(path, (0, {"a": 0}), (2, {"a": 1, "b": 1}), (5, {"b": 2}))
    before = rows(path)
    Table(path).rewind(step)
    assert rows(path) == [row for row in before if int(row["step"]) <= step]


def test_the_row_that_a_rewind_leaves_last_can_still_be_filled_in(path):
    written(path, (0, {"a": 0}), (2, {"a": 1}), (4, {"a": 2}))
    table = Table(path)
    table.rewind(2)
    table.add(2, {"b": 3})
    table.add(4, {"a": 4})
    table.flush()
    assert [list(row.values()) for row in rows(path)] == [
        ["0", "", "0", ""],
        ["2", "", "1", "3"],
        ["4", "", "4", ""],
    ]


@pytest.mark.parametrize("step", [-1, 0, 2])
def test_after_a_rewind_a_run_writes_the_file_that_it_would_have_written(path, step):
    events = [(0, {"epoch": 0, "a": 0.5}), (2, {"a": 0.25}), (4, {"a": 0.125, "b": 1})]
    written(path, *events)
    whole = rows(path)
    table = Table(path)
    table.rewind(step)
    for at, values in events:
        if at > step:
            table.add(at, values)
    table.flush()
    assert rows(path) == whole


def test_killed_at_any_byte_a_rewind_keeps_exactly_the_whole_rows(path):
    written(
        path,
        *((step, {"epoch": 0, "a": step / 7, "b": 12.5}) for step in (0, 8, 16)),
        (17, {"a": 1}),
    )
    whole, before = path.read_bytes(), rows(path)
    head = whole.index(b"\n") + 1
    for end in range(head, len(whole) + 1):
        path.write_bytes(whole[:end])
        table = Table(path)
        table.rewind(16)
        table.add(99, {"b": 1})
        table.flush()
        kept = whole[:end].count(b"\n") - 1
        assert rows(path)[:-1] == before[: min(kept, 3)], f"cut at byte {end}"


def test_while_a_written_row_is_filled_in_a_kill_never_loses_it(path):
    """What a checkpoint of that step counts on is there after every single call that flush makes."""
    table = written(path, (0, {"a": 0, "b": 0}), (2, {"a": 1}))
    table.add(2, {"b": 3})
    seen = []
    sys.setprofile(lambda *_: seen.append(path.read_bytes()))
    try:
        table.flush()
    finally:
        sys.setprofile(None)
    assert all(len(content.splitlines()) > 2 for content in seen)
    assert seen[-1].splitlines()[2] == b"2,,1,3"


def as_text(model: dict[int, dict[str, Any]]) -> dict[int, dict[str, str]]:
    return {
        step: {name: str(value) for name, value in model[step].items()} for step in sorted(model)
    }


def on_disk(path: Path) -> dict[int, dict[str, str]]:
    """Cells by step, in the file's order, which has to be rising."""
    found = rows(path) if path.exists() else []
    steps = [int(row["step"]) for row in found]
    assert steps == sorted(set(steps))
    return {
        int(row.pop("step")): {name: value for name, value in row.items() if value} for row in found
    }


VALUES = [0.1, -1e300, math.nan, math.inf, 7, 0, "text", "a,b", 'a "word"', "ünï"]


@pytest.mark.parametrize("seed", range(20))
def test_no_value_is_ever_lost_and_of_two_of_a_cell_the_later_stands(path, seed):
    """A dict of dicts is the model, whatever is added, flushed, taken up anew and rewound."""
    draw, model, table = random.Random(seed), {}, Table(path)
    for _ in range(draw.choice([20, 200])):
        match draw.choices(["later", "any", "flush", "sync", "resume"], [9, 6, 1, 1, 1])[0]:
            case "flush":
                table.flush()
            case "sync":
                table.sync()
                assert on_disk(path) == as_text(model)
            case "resume":
                table.sync()
                until = max([*model, 0]) - draw.choice([0, 0, 1, 7])
                model = {step: row for step, row in model.items() if step <= until}
                table = table if draw.random() < 0.2 else Table(path)
                table.rewind(until)
            case how:
                top = max([*model, 0])
                step = top + draw.randrange(3) if how == "later" else draw.randint(-2, top + 1)
                values = {
                    f"m{draw.randrange(8)}": draw.choice(VALUES) for _ in range(draw.randint(1, 3))
                }
                table.add(step, values)
                model.setdefault(step, {}).update(values)
    table.flush()
    assert on_disk(path) == as_text(model)


def test_text_and_names_stay_within_their_cell_and_their_line(path):
    written(path, (0, {"a,b": "x\r\ny\0", 'q"': "\u2028z", "step": 9, "n\nm": "\ud800"}), (1, {}))
    (first, second) = path.read_bytes().splitlines()[1:]
    assert rows(path)[0] == {
        "step": "0",
        "epoch": "",
        "a,b": "x y ",
        'q"': " z",
        "n m": " ",
    }
    assert second == b"1,,,," and not first.startswith(b"9")


@pytest.mark.parametrize("back", [0, 1, 3, 500])
def test_a_row_costs_the_same_however_long_the_file_is(path, monkeypatch, back):
    """Counted in lines written; each step fills in a cell of the step `back` before it too."""
    lines = Counter()
    for name in ("encoded", "write"):
        monkeypatch.setattr(metrics_csv, name, counted(getattr(metrics_csv, name), lines))
    costs = []
    table, step = Table(path), 0
    for _ in range(2):
        before = sum(lines.values())
        for _ in range(2000):
            table.add(step, {"a": step})
            table.add(max(0, step - back), {"b": step})
            step += 1
        table.flush()
        costs.append((sum(lines.values()) - before) / 2000)
    assert len(rows(path)) == 4000
    assert costs[1] < 12 and costs[1] < 1.5 * costs[0] + 1


def counted(function: Callable, lines: Counter) -> Callable:
    """`function`, which adds the lines that it writes to `lines`."""

    def call(*arguments: Any) -> Any:
        result = function(*arguments)
        lines[function.__name__] += getattr(result, "rows", 1)
        return result

    return call


def test_the_memory_taken_does_not_grow_with_the_file(path):
    table = Table(path)
    for step in range(8_000):
        table.add(step, {"a": step, "text": "x" * 90})
    tracemalloc.start()
    for step in range(8_000, 8_500):
        table.add(step, {"a": step})
    table.add(0, {"b": 1})
    table.flush()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000 < 700_000 < path.stat().st_size
    assert rows(path)[0]["b"] == "1" and len(rows(path)) == 8_500
