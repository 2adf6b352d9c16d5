"""Of spectra.npz single events are read as numpy reads the whole."""

import numpy as np
import pytest

from isogain.record import spectra_events
from isogain.record.bounded import Damaged
from isogain.record.spectra_events import opened_spectra, spread
from isogain.record.spectra_npz import Arrays


@pytest.mark.parametrize("small", [0, 1 << 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_events_are_those_of_the_whole_array_however_large_it_is(
    tmp_path, monkeypatch, small, dtype
):
    draw = np.random.default_rng(0)
    values = (100 * draw.standard_normal((5, 2, 3))).astype(dtype)
    arrays = Arrays(tmp_path / "spectra.npz")
    for step, event in enumerate(values):
        arrays.add(10 * step, "a/b", event, ("example", "value"))
        arrays.add(10 * step, "c", np.float64(step))
    arrays.flush()
    with opened_spectra(tmp_path) as found:
        assert found.names == ["a/b", "c"] and "a/b" in found and "a" not in found
        steps, axes = found.steps("a/b"), found.axes("a/b")
        monkeypatch.setattr(spectra_events, "SMALL", small)
        found.steps = lambda name: steps  # itself small
        np.testing.assert_array_equal(found.events("a/b", [4, 0, 2]), values[[4, 0, 2]])
        np.testing.assert_array_equal(found.events("c", [1]), [1.0])
        assert found.event_shape("a/b") == (2, 3)
        assert found.event_size("a/b") == values[0].nbytes
    assert steps.tolist() == [0, 10, 20, 30, 40] and axes == ["event", "example", "value"]


def test_no_code_in_an_array_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    np.savez(tmp_path / "spectra.npz", **{"a": np.array([Evil()]), "a/step": np.array([0])})
    with pytest.raises(Damaged), opened_spectra(tmp_path) as found:
        found.events("a", [0])
    assert not (tmp_path / "owned").exists()


def test_a_flipped_bit_is_seen(tmp_path):
    np.savez(tmp_path / "spectra.npz", **{"a": np.ones((1, 9)), "a/step": np.array([0])})
    data = bytearray((tmp_path / "spectra.npz").read_bytes())
    data[data.index(np.ones(9).tobytes()) + 8] ^= 1
    (tmp_path / "spectra.npz").write_bytes(bytes(data))
    with pytest.raises(Damaged, match="damaged"), opened_spectra(tmp_path) as found:
        found.events("a", [0])


@pytest.mark.parametrize("length, most", [(1, 5), (5, 5), (100, 7), (3, 2)])
def test_events_are_spread_from_the_first_to_the_last(length, most):
    found = spread(length, most)
    assert found[0] == 0 and found[-1] == length - 1 and len(found) <= most
    assert (np.diff(found) > 0).all()
