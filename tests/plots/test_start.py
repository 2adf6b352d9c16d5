"""The data behind the figures, and the tool that draws them."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from isogain import plots


@pytest.fixture
def folder(tmp_path):
    spectrum = np.array([[[4.0, 1.0, 0.25, 0.0]], [[8.0, 2.0, 0.5, 0.125]]])
    arrays = {"jacobian/spectrum": spectrum, "jacobian/spectrum/step": np.array([0, 100])}
    np.savez(tmp_path / "spectra.npz", **arrays)
    overrides = ["init=glorot", "out=somewhere", "logger=csv", "reg=none"]
    (tmp_path / "overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(overrides)))
    return tmp_path


def test_bands_are_percentiles_over_examples_and_singular_values(folder):
    steps, bands = plots.spectrum_bands(folder)
    assert steps.tolist() == [0, 100] and bands.shape == (2, 6)
    np.testing.assert_allclose(bands[:, 2], [(1 + 0.25) / 2, (2 + 0.5) / 2])
    np.testing.assert_allclose(bands[:, 5], [4, 8])
    assert (np.diff(bands, axis=1) >= 0).all()


def test_the_figure_has_a_panel_a_run_with_its_median_and_its_largest_value(folder):
    panels = plots.spectra_figure([folder, folder]).axes
    assert [axes.get_title() for axes in panels] == ["init=glorot reg=none"] * 2
    median, largest, _ = panels[0].lines
    np.testing.assert_allclose(median.get_ydata(), [0.625, 1.25])
    np.testing.assert_allclose(largest.get_ydata(), [4, 8])
    assert panels[0].get_xlabel() and panels[0].get_ylabel() and panels[0].get_yscale() == "log"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_tool_writes_the_file_and_says_where(folder, tmp_path, kind, capsys):
    out = tmp_path / f"figure.{kind}"
    assert plots.main([str(folder), "--out", str(out)]) == 0
    assert out.stat().st_size > 1000 and capsys.readouterr().out.strip() == str(out)


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capsys):
    assert plots.main([str(tmp_path / "nothing")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and "nothing" in told


@pytest.fixture
def started(tmp_path):
    """A writer of a run folder with measured s, the predicted density and atoms at step 0."""

    def write(s, curve=((), ()), atoms=((), ())):
        arrays = {"jacobian/spectrum": [[s]], "theory/density": [curve], "theory/atoms": [atoms]}
        arrays = {name: np.array(value, dtype=float) for name, value in arrays.items()}
        steps = {f"{name}/step": np.array([0]) for name in arrays}
        np.savez(tmp_path / "spectra.npz", **arrays, **steps)
        (tmp_path / "overrides.yaml").write_text("[init=critical]")
        return tmp_path

    return write


def law(density, low, high):
    s = np.geomspace(low, high, 400)
    return s, density(s)


def test_bars_and_curve_of_a_narrow_law_are_densities_of_s(started):
    s = np.random.default_rng(0).uniform(0.5, 1.5, 10_000)
    found = plots.start_histogram(started(s, law(np.ones_like, 0.5, 1.5)))
    assert not found.log and found.below == 0
    assert (found.heights * np.diff(found.edges)).sum() == pytest.approx(1)
    np.testing.assert_allclose(found.heights, 1, atol=0.3)  # 6 standard errors of a bin
    np.testing.assert_allclose(found.curve[1], 1)


def test_bars_and_curve_of_a_wide_law_are_densities_of_log_s(started):
    s = np.exp(np.random.default_rng(0).uniform(-9, 1, 10_000))
    folder = started(s, law(lambda s: 1 / (10 * s), np.exp(-9), np.exp(1)))
    found = plots.start_histogram(folder)
    assert found.log
    assert (found.heights * np.diff(np.log(found.edges))).sum() == pytest.approx(1)
    np.testing.assert_allclose(found.heights, 0.1, atol=0.03)
    np.testing.assert_allclose(found.curve[1], 0.1)


def test_what_lies_below_the_floor_is_told_and_not_drawn(started):
    found = plots.start_histogram(started([0.0, 0, 1e-3, 1]))
    assert found.log and found.below == 0.5 and found.edges[0] == plots.FLOOR


def test_a_single_value_is_a_line_on_its_bar(started):
    folder = started([1.21] * 8, atoms=([1.21], [1.0]))
    axes = plots.histograms_figure([folder]).axes[0]
    (line,) = axes.lines
    assert set(line.get_xdata()) == {1.21}
    found = plots.start_histogram(folder)
    (bar,) = found.heights.nonzero()[0]
    assert found.edges[bar] <= 1.21 <= found.edges[bar + 1]
    assert axes.get_ylim()[1] > found.heights.max()


def test_an_atom_does_not_flatten_the_rest(started):
    s = [2.0] * 1000 + list(np.linspace(0.5, 1.5, 100))
    axes = plots.histograms_figure([started(s, atoms=([2.0], [0.9]))]).axes[0]
    found = plots.start_histogram(started(s, atoms=([2.0], [0.9])))
    assert axes.get_ylim()[1] < found.heights.max() / 5


def test_a_run_without_a_prediction_has_its_bars_alone(folder):
    axes = plots.histograms_figure([folder]).axes[0]
    assert not axes.lines and axes.patches


def test_a_run_not_measured_at_step_0_is_one_line(tmp_path, capsys):
    steps = {"jacobian/spectrum": np.ones((1, 1, 2)), "jacobian/spectrum/step": np.array([500])}
    np.savez(tmp_path / "spectra.npz", **steps)
    (tmp_path / "overrides.yaml").write_text("[]")
    assert plots.main([str(tmp_path), "--figure", "start"]) == 1
    assert "was not measured at step 0" in capsys.readouterr().err
