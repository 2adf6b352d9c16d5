"""spectra.npz: for each name the values of its events and their steps."""

from pathlib import Path

import numpy as np
import pytest

from isogain.record.spectra_npz import Arrays


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "spectra.npz"


def written(path: Path, *events: tuple[int, str, list]) -> Arrays:
    arrays = Arrays(path)
    for step, name, values in events:
        arrays.add(step, name, np.array(values))
    arrays.flush()
    return arrays


def found(path: Path) -> dict[str, list]:
    with np.load(path) as arrays:
        return {name: arrays[name].tolist() for name in arrays.files}


def test_a_name_holds_its_events_in_order_and_their_steps(path):
    written(path, (0, "s", [1, 2]), (0, "weights/w", [[3], [4]]), (7, "s", [5, 6]))
    assert found(path) == {
        "s": [[1, 2], [5, 6]],
        "s/step": [0, 7],
        "weights/w": [[[3], [4]]],
        "weights/w/step": [0],
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_come_back_bit_for_bit(path, dtype):
    values = np.array([1 / 3, 0.0, 1e-30, np.inf], dtype)
    Arrays(path).flush()
    written(path, (0, "s", values))
    with np.load(path) as arrays:
        assert arrays["s"].dtype == dtype
        np.testing.assert_array_equal(arrays["s"][0], values)


def test_an_event_is_kept_as_it_was_however_its_array_changes_later(path):
    arrays, values = Arrays(path), np.zeros(2)
    arrays.add(0, "s", values)
    values += 1
    arrays.flush()
    assert found(path)["s"] == [[0, 0]]


def test_flush_writes_what_is_new_and_nothing_twice(path):
    arrays = written(path, (0, "s", [1]))
    before = path.stat().st_ino, path.stat().st_mtime_ns
    arrays.flush()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before


def test_without_events_there_is_no_file(path):
    arrays = Arrays(path)
    arrays.rewind(3)
    arrays.flush()
    assert not path.exists()


@pytest.mark.parametrize("step", [0, 6, 7, 20])
def test_rewind_forgets_the_events_of_later_steps(path, step):
    written(path, (0, "a", [1]), (7, "a", [2]), (14, "a", [3]), (7, "b", [4]))
    arrays = Arrays(path)
    arrays.rewind(step)
    arrays.flush()
    expected = {
        "a/step": [s for s in (0, 7, 14) if s <= step],
        "b/step": [7] if step >= 7 else None,
    }
    assert {name: found(path).get(name) for name in expected} == expected


def test_after_a_rewind_a_run_writes_the_file_that_it_would_have_written(path):
    events = [(0, "a", [1.0]), (7, "a", [2.0]), (7, "b", [4.0]), (14, "a", [3.0])]
    written(path, *events)
    whole = found(path)
    arrays = Arrays(path)
    arrays.rewind(0)
    for step, name, values in events[1:]:
        arrays.add(step, name, np.array(values))
    arrays.flush()
    assert found(path) == whole


def test_a_rewind_to_before_the_first_event_leaves_none(path):
    written(path, (0, "a", [1]))
    arrays = Arrays(path)
    arrays.rewind(-1)
    arrays.flush()
    assert not path.exists() or found(path) == {}


def test_axes_have_their_names_also_after_a_resumption(tmp_path):
    path = tmp_path / "spectra.npz"
    first = Arrays(path)
    first.add(0, "s", np.zeros((2, 3)), ("example", "value"))
    first.add(0, "other", np.zeros(1))
    first.flush()
    second = Arrays(path)
    second.rewind(0)
    second.add(1, "s", np.ones((2, 3)), ("example", "value"))
    second.flush()
    with np.load(path) as arrays:
        assert arrays["s/axes"].tolist() == ["event", "example", "value"]
        assert arrays["s"].shape == (2, 2, 3) and arrays["s/step"].tolist() == [0, 1]
        assert sorted(arrays.files) == ["other", "other/step", "s", "s/axes", "s/step"]
