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
