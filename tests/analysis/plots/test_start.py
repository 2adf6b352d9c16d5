"""The histogram of what was measured at step 0, and the law over it."""

import numpy as np
import pytest
from run_folders import write_run

from isogain.analysis.plots.bands import FLOOR
from isogain.analysis.plots.start import start, start_histogram
from isogain.analysis.statistics import runs


@pytest.fixture
def started(tmp_path):
    """A writer of a run folder with measured s, the predicted density and atoms at step 0."""

    def write(s, curve=((), ()), atoms=((), ())):
        arrays = {"jacobian/spectrum": [[s]], "theory/density": [curve], "theory/atoms": [atoms]}
        arrays = {name: np.array(value, dtype=float) for name, value in arrays.items()}
        steps = {f"{name}/step": np.array([0]) for name in arrays}
        np.savez(tmp_path / "spectra.npz", **arrays, **steps)
        (tmp_path / "summary.json").write_text('{"status": "finished"}')
        return tmp_path

    return write


def law(density, low, high):
    s = np.geomspace(low, high, 400)
    return s, density(s)


def test_bars_and_curve_of_a_narrow_law_are_densities_of_s(started):
    s = np.random.default_rng(0).uniform(0.5, 1.5, 10_000)
    histogram = start_histogram(started(s, law(np.ones_like, 0.5, 1.5)))
    assert not histogram.log and histogram.below == 0
    assert (histogram.heights * np.diff(histogram.edges)).sum() == pytest.approx(1)
    np.testing.assert_allclose(histogram.heights, 1, atol=0.3)  # 6 standard errors of a bin
    np.testing.assert_allclose(histogram.curve[1], 1)


def test_bars_and_curve_of_a_wide_law_are_densities_of_log_s(started):
    s = np.exp(np.random.default_rng(0).uniform(-9, 1, 10_000))
    folder = started(s, law(lambda s: 1 / (10 * s), np.exp(-9), np.exp(1)))
    histogram = start_histogram(folder)
    assert histogram.log
    assert (histogram.heights * np.diff(np.log(histogram.edges))).sum() == pytest.approx(1)
    np.testing.assert_allclose(histogram.heights, 0.1, atol=0.03)
    np.testing.assert_allclose(histogram.curve[1], 0.1)


def test_what_lies_below_the_floor_is_noted_and_not_drawn(started):
    histogram = start_histogram(started([0.0, 0, 1e-3, 1]))
    assert histogram.log and histogram.below == 0.5 and histogram.edges[0] == FLOOR


def test_a_single_value_is_a_line_on_its_bar(started):
    folder = started([1.21] * 8, atoms=([1.21], [1.0]))
    axes = start(runs(folder)).axes[0]
    (line,) = axes.lines
    assert set(line.get_xdata()) == {1.21}
    histogram = start_histogram(folder)
    (bar,) = histogram.heights.nonzero()[0]
    assert histogram.edges[bar] <= 1.21 <= histogram.edges[bar + 1]
    assert axes.get_ylim()[1] > histogram.heights.max()


def test_an_atom_does_not_flatten_the_rest(started):
    s = [2.0] * 1000 + list(np.linspace(0.5, 1.5, 100))
    axes = start(runs(started(s, atoms=([2.0], [0.9])))).axes[0]
    histogram = start_histogram(started(s, atoms=([2.0], [0.9])))
    assert axes.get_ylim()[1] < histogram.heights.max() / 5


def test_a_run_without_a_prediction_has_its_bars_alone(started):
    axes = start(runs(started([0.5, 1, 2]))).axes[0]
    assert not axes.lines and axes.patches


def test_a_run_not_measured_at_step_0_is_refused_and_beside_others_a_panel_that_says_so(
    started, tmp_path
):
    late = write_run(
        tmp_path / "late", {"seed": 1}, {}, spectra={"jacobian/spectrum": ([500], [[[1.0]]])}
    )
    with pytest.raises(KeyError, match="not measured at step 0"):
        start(runs(late))
    good = write_run(tmp_path / "good", {}, {}, spectra={"jacobian/spectrum": ([0], [[[1.0, 2]]])})
    panels = start(runs(good, late)).axes
    assert panels[0].patches and "not measured at step 0" in panels[1].texts[0].get_text().replace(
        "\n", " "
    )
