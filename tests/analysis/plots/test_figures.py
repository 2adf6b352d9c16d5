"""What is drawn is what was recorded: the data of every figure, not its pixels."""

import importlib
import math

import numpy as np
import pytest
from run_folders import write_run

from isogain.analysis.plots import (
    bands,
    depth_gain,
    fisher,
    gradients,
    heatmap,
    learning,
    margin,
    means,
    style,
)
from isogain.analysis.plots.__main__ import FIGURES, figure_function, main
from isogain.analysis.plots.weight_gradients import norms, weight_gradients
from isogain.analysis.statistics import runs


@pytest.fixture
def spectra(tmp_path):
    """Two seeds of reg=gain and one run of reg=soft, two examples of two values at steps 0 and 10."""
    values = {"gain": [1.0, 2, 3, 4], "soft": [0.0, 0, 1e-3, 1]}
    for i, (reg, seed) in enumerate([("gain", 0), ("gain", 1), ("soft", 0)]):
        s = np.array(values[reg]).reshape(1, 2, 2) * 10.0**seed
        arrays = {"jacobian/spectrum": ([0, 10], np.concatenate([s, 2 * s]))}
        write_run(tmp_path / str(i), {"reg": reg, "seed": seed}, {}, spectra=arrays)
    return runs(tmp_path)


def test_bands_are_percentiles_over_runs_examples_and_values(spectra):
    panels = bands.bands(spectra, ("reg",)).axes
    assert [axes.get_title() for axes in panels] == ["gain (n=2)", "soft"]
    median, largest, isometry = panels[0].lines
    pooled = np.array([1, 2, 3, 4, 10, 20, 30, 40])
    np.testing.assert_allclose(median.get_ydata(), [np.median(pooled), 2 * np.median(pooled)])
    np.testing.assert_allclose(largest.get_ydata(), [40, 80])
    assert median.get_xdata().tolist() == [0, 10] and set(isometry.get_ydata()) == {1}
    assert panels[0].get_yscale() == "log" and panels[0].get_xlabel() == "optimiser steps"


def test_without_groups_a_panel_a_run_says_what_sets_it_apart(spectra):
    titles = [axes.get_title() for axes in bands.bands(spectra).axes]
    assert titles == ["reg=gain seed=0", "reg=gain seed=1", "reg=soft seed=0"]


def test_the_heat_map_holds_every_value_but_those_below_the_floor(spectra):
    figure = heatmap.heatmap(spectra, ("reg",))
    gain, soft = (axes.collections[0].get_array() for axes in figure.axes[:2])
    np.testing.assert_allclose(gain.sum(axis=0), 100)
    np.testing.assert_allclose(soft.sum(axis=0), 50)  # half of the values are 0
    at = heatmap.bins([heatmap.Events(np.array([0]), np.array([[[1.0, 100.0]]]))])
    shares = heatmap.shares(heatmap.Events(np.array([0]), np.array([[[1.0, 1, 100.0, 1e-20]]])), at)
    assert shares[[0, -1], 0].tolist() == [0.5, 0.25] and shares.sum() == 0.75


def test_a_group_without_arrays_is_a_panel_that_says_so(spectra, tmp_path):
    write_run(tmp_path / "3", {"reg": "none"}, {"status": "failed"})
    (panel,) = [
        axes
        for axes in bands.bands(runs(tmp_path), ("reg",)).axes
        if axes.get_title() == "none (n=0, 1 failed)"
    ]
    assert "no spectra.npz" in panel.texts[0].get_text().replace("\n", " ")
    with pytest.raises(KeyError, match="no spectra.npz"):
        bands.bands(runs(tmp_path / "3"))


def test_runs_of_one_group_that_differ_in_size_or_steps_are_refused(tmp_path):
    for i, (steps, n) in enumerate([([0, 1], 2), ([0, 1], 3), ([5, 6], 2)]):
        arrays = {"jacobian/spectrum": (steps, np.ones((2, 1, n)))}
        write_run(tmp_path / str(i), {"seed": i}, {}, spectra=arrays)
    with pytest.raises(ValueError, match="differ in size"):
        bands.bands(runs(tmp_path / "0", tmp_path / "1"), ("reg",))
    with pytest.raises(ValueError, match="share no step"):
        bands.bands(runs(tmp_path / "0", tmp_path / "2"), ("reg",))


def test_learning_curves_are_means_with_intervals_and_crosses_where_runs_stopped(tmp_path):
    for seed, values in enumerate([[1.0, 2, 4], [3.0, 4, 6]]):
        curve = {"val/acc": dict(zip((0, 5, 10), values, strict=True))}
        write_run(tmp_path / str(seed), {"seed": seed}, {}, curves=curve)
    diverged = {"val/acc": {0: 0.5, 5: 9.0}}
    write_run(tmp_path / "2", {"seed": 2}, {"status": "diverged"}, curves=diverged)
    (axes,) = learning.learning(runs(tmp_path), ("reg",)).axes
    mean, cross = axes.lines
    np.testing.assert_allclose(mean.get_xydata(), [[0, 2], [5, 3], [10, 5]])
    assert cross.get_xydata().tolist() == [[5, 9]]
    assert mean.get_label() == "gain (n=2, 1 diverged)"
    band = axes.collections[0].get_paths()[0].vertices
    half = 12.7062 * math.sqrt(2) / math.sqrt(2)  # t(0.975; 1) s/√n
    assert band[:, 1].max() == pytest.approx(5 + half, rel=1e-4)
    assert axes.get_ylabel() == "val accuracy"


@pytest.mark.parametrize(
    ("metric", "values", "scale", "means"),
    [
        ("train/loss", [(1.0, 4.0), (100.0, 400.0), (1e4, 1e4)], "log", [2, 200, 1e4]),
        ("train/loss", [(1.0, 4.0), (2.0, 6.0), (3.0, 5.0)], "linear", [2.5, 4, 4]),
        ("train/loss", [(0.0, 4.0), (100.0, 400.0), (1e4, 1e4)], "linear", [2, 250, 1e4]),
        ("val/acc", [(0.001, 0.001), (0.5, 0.3), (0.9, 0.7)], "linear", [0.001, 0.4, 0.8]),
    ],
)
def test_of_positive_values_over_decades_the_geometric_mean_is_drawn(
    tmp_path, metric, values, scale, means
):
    for seed, mine in enumerate(zip(*values, strict=True)):
        curve = {metric: dict(zip((0, 5, 10), mine, strict=True))}
        write_run(tmp_path / str(seed), {"seed": seed}, {}, curves=curve)
    (axes,) = learning.learning(runs(tmp_path), ("reg",), metric).axes
    assert axes.get_yscale() == scale
    np.testing.assert_allclose(axes.lines[0].get_ydata(), means)
    (band,) = axes.collections
    assert band.get_paths()[0].vertices[:, 1].min() > 0 or scale == "linear"


def test_curves_logged_at_other_steps_are_read_between_them(tmp_path):
    for seed, steps in enumerate([(0, 10), (0, 5, 10)]):
        curve = {"train/loss": {s: float(s) for s in steps}}
        write_run(tmp_path / str(seed), {"seed": seed}, {}, curves=curve)
    (axes,) = learning.learning(runs(tmp_path), ("reg",)).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0], [5, 5], [10, 10]])


def test_a_seed_counts_once_in_a_curve(tmp_path):
    for i, (seed, gain, value) in enumerate([(0, 1.0, 1.0), (0, 2.0, 3.0), (1, 1.0, 4.0)]):
        curve = {"val/acc": {0: value, 1: value}}
        write_run(tmp_path / str(i), {"seed": seed, "init.gain": gain}, {}, curves=curve)
    (line,) = [
        a for a in learning.learning(runs(tmp_path), ("reg",)).axes[0].lines if len(a.get_xdata())
    ]
    assert line.get_ydata().tolist() == [3, 3] and line.get_label() == "gain (n=2, 3 runs)"


def test_what_was_logged_once_is_no_curve_unless_it_is_asked_for(tmp_path):
    write_run(tmp_path / "0", {}, {}, curves={"val/acc": {9: 1.0}, "train/acc": {0: 1.0, 9: 2.0}})
    assert learning.learning(runs(tmp_path)).axes[0].get_ylabel() == "train accuracy"
    assert (
        learning.learning(runs(tmp_path), metric="val/acc").axes[0].get_ylabel() == "val accuracy"
    )


def test_signal_gradients_are_means_of_the_logarithm_at_every_place(tmp_path):
    logs = np.log(10) * np.array([[[-3.0, -2, 0], [-5, -2, 0]], [[-1, -1, -np.inf], [-1, -1, 0]]])
    write_run(tmp_path / "0", {}, {}, spectra={"signal_grad/log": ([0, 10], logs)})
    axes = gradients.gradients(runs(tmp_path)).axes[0]
    image = axes.collections[0].get_array()
    np.testing.assert_allclose(image[:2], [[-4, -1], [-2, -1]])
    assert image[2, 0] == 0 and image.mask[2, 1]


def test_kernel_gradients_are_geometric_means_over_runs(tmp_path):
    for seed, norm in enumerate([1.0, 100.0]):
        curve = {"grad/kernel/000": {0: norm, 5: 2 * norm}, "grad/kernel/001": {0: 1.0, 5: 1.0}}
        curve |= {"grad/bias": {0: 7.0}, "grad/input/0/weight": {0: 7.0}}
        write_run(tmp_path / str(seed), {"seed": seed}, {}, curves=curve)
    found = norms(runs(tmp_path))
    assert list(found) == ["grad/kernel/000", "grad/kernel/001"]
    np.testing.assert_allclose(found["grad/kernel/000"], [10, 20])
    first, _ = weight_gradients(runs(tmp_path), ("reg",)).axes[0].lines
    np.testing.assert_allclose(first.get_ydata(), [10, 20])


@pytest.fixture
def sweep(tmp_path):
    """Depth 2, 4 × gain 0.5, 1, 2; deeper is slower, gain 2 diverges at depth 4 and 0.5 never arrives."""
    n = 0
    for depth in (2, 4):
        for gain in (0.5, 1.0, 2.0):
            for seed in (0, 1):
                acc = 0.3 if gain == 0.5 else 0.9 + 0.02 * seed
                curve = {"train/acc": {depth: 0.2, 10 * depth: acc, 20 * depth: acc}}
                bad = depth == 4 and gain == 2
                summary = {"status": "diverged"} if bad else {"test/acc": acc}
                overrides = {"model.depth": depth, "init.gain": gain, "seed": seed}
                write_run(tmp_path / str(n), overrides, summary, curves=curve)
                n += 1
    return runs(tmp_path)


def test_the_grid_holds_final_means_times_to_arrive_and_what_became_of_the_rest(sweep):
    left, right = depth_gain.depth_gain(sweep, reach=0.85).axes[:2]
    np.testing.assert_allclose(
        left.collections[0].get_array(), [[0.3, 0.91, 0.91], [0.3, 0.91, np.nan]]
    )
    times = right.collections[0].get_array()
    np.testing.assert_allclose(times, [[np.nan, 20, 20], [np.nan, 40, np.nan]])
    assert [t.get_text() for t in right.texts] == ["never", "20", "20", "never", "40", "2 diverged"]
    assert left.get_xlabel() == r"gain $\sigma_w$" and "depth" in left.get_ylabel()


def test_a_run_that_does_not_arrive_is_late_without_bound(sweep):
    found = depth_gain.time_to(sweep, "model.depth", "init.gain", "train/acc", 0.91)  # only seed 1
    assert np.isnan(found.values[0, 1]) and found.reasons[0, 1] == "never"
    assert depth_gain.default_reach(sweep, "train/acc") == pytest.approx(0.9 * 0.92, abs=0.005)


GAINS = {"tanh": 1, "linear": 1, "relu": math.sqrt(2), "hardtanh": 1, "erf": math.sqrt(math.pi) / 2}


@pytest.mark.parametrize("phi, expected", GAINS.items())
def test_the_critical_line_is_at_one_over_the_root_mean_square_slope(sweep, phi, expected):
    table = sweep.assign(**{"model.activation": phi})
    assert depth_gain.critical_gain(table) == pytest.approx(expected, rel=1e-4)
    line = depth_gain.depth_gain(table).axes[0].lines[0]
    assert set(line.get_xdata()) == {depth_gain.critical_gain(table)}


def test_there_is_no_critical_line_where_none_is_known(sweep):
    assert depth_gain.critical_gain(sweep.assign(model="rnn")) is None
    assert depth_gain.critical_gain(sweep.assign(init="identity")) is None
    mixed = sweep.assign(**{"model.activation": ["tanh", "relu"] * 6})
    assert (
        depth_gain.critical_gain(mixed) is None and not depth_gain.depth_gain(mixed).axes[0].lines
    )


def test_curvature_points_are_those_steps_at_which_both_were_measured(tmp_path):
    x, y = [1.0, 2, 4, 8], [3.0, 5, 4, 11]
    curve = {
        "jacobian/log_max": {s: math.log(v) / 2 for s, v in enumerate(x)} | {9: 0.0},
        "fisher_exact/lambda_max": dict(enumerate(y)),
    }
    summary = {"fisher_exact/lambda_max": 11.0}
    write_run(tmp_path / "0", {}, summary, curves=curve)
    (axes,) = fisher.fisher(runs(tmp_path)).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.array([x, y]).T)
    xc, yc = np.array(x) - np.mean(x), np.array(y) - np.mean(y)
    rho = (xc * yc).sum() / np.sqrt((xc**2).sum() * (yc**2).sum())
    assert f"Pearson ρ = {rho:.3f}" in axes.get_title() and "4 points of 1 run" in axes.get_title()


def test_rho_is_not_made_up():
    assert math.isnan(fisher.pearson(np.array([1.0, 2]), np.array([1.0, 2])))
    assert math.isnan(fisher.pearson(np.ones(3), np.arange(3.0)))


def test_curvature_at_the_start_is_that_of_the_summaries(tmp_path):
    for i, (largest, curvature) in enumerate([(0.0, 1.0), (0.5, 2.0), (1.0, 5.0)]):
        name = "fisher_exact/at_start/lambda_max"
        summary = {name: curvature, "jacobian/at_start/log_max": largest}
        write_run(tmp_path / str(i), {"seed": i}, summary, curves={"jacobian/log_max": {0: 9.0}})
    found = fisher.points(runs(tmp_path), name)
    np.testing.assert_allclose(found.table["x"], np.exp([0.0, 1, 2]))
    assert found.table["y"].tolist() == [1, 2, 5]
    assert found.rho == pytest.approx(np.corrcoef(np.exp([0, 1, 2]), [1, 2, 5])[0, 1])
    with pytest.raises(KeyError, match="no run has it"):
        fisher.points(runs(tmp_path), "fisher_mc/at_start/lambda_max")


def test_margins_are_in_order_and_no_constraint_is_the_widest(tmp_path):
    overrides = [{"reg": "hard"}, {"reg": "hard"}, {"reg": "none"}]
    for i, (options, acc) in enumerate(zip(overrides, [0.5, 0.7, 0.9], strict=True)):
        margins = {"reg.margin": [0.1, 0.0][i]} if i < 2 else {}
        write_run(tmp_path / str(i), options | margins, {"test/acc": acc})
    (axes,) = margin.margin(runs(tmp_path)).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 0.7], [1, 0.5], [2, 0.9]])
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["0", "0.1", "no\nconstraint"]


def test_means_stand_at_their_condition_with_their_interval(tmp_path):
    values = {("gain", 1.0): [0.2, 0.4], ("soft", 1.0): [0.5, 0.5], ("gain", 2.0): [0.6, 0.8]}
    for i, ((reg, gain), accs) in enumerate(values.items()):
        for seed, acc in enumerate(accs):
            overrides = {"reg": reg, "init.gain": gain, "seed": seed}
            write_run(tmp_path / f"{i}{seed}", overrides, {"test/acc": acc})
    (axes,) = means.means(runs(tmp_path), ("reg",), ("init.gain",)).axes
    gain, soft = (bars.lines[0] for bars in axes.containers)
    np.testing.assert_allclose(gain.get_ydata().astype(float), [0.3, 0.7])
    assert np.round(gain.get_xdata()).tolist() == [0, 1] and soft.get_ydata().tolist() == [0.5]
    (low, high) = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 12.7062 * 0.1, rel=1e-4)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2"]


def test_more_panels_or_curves_than_can_be_read_are_refused(tmp_path):
    for seed in range(25):
        write_run(tmp_path / str(seed), {"seed": seed}, {}, curves={"val/acc": {0: 1.0}})
    with pytest.raises(ValueError, match="25 curves do not fit"):
        learning.learning(runs(tmp_path))
    with pytest.raises(ValueError, match="25 panels do not fit"):
        style.page(25)


def test_type_is_at_least_8_points_on_a_page_of_7_inches(sweep):
    figure = depth_gain.depth_gain(sweep)
    texts = [
        text for text in figure.findobj(lambda a: hasattr(a, "get_fontsize")) if text.get_text()
    ]
    assert min(text.get_fontsize() for text in texts) >= 8 and figure.get_figwidth() <= 7


def test_curves_differ_in_more_than_colour():
    looks = [style.line(i) for i in range(style.MOST)]
    assert len({(look["color"], look["ls"]) for look in looks}) == style.MOST
    first = looks[: len(style.MARKERS)]
    assert len({look["marker"] for look in first}) == len(first)


def test_every_figure_of_the_tool_is_a_function_of_the_table():
    for name, (module, _) in FIGURES.items():
        assert figure_function(name) is getattr(
            importlib.import_module(f"isogain.analysis.plots.{module}"), module
        )


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_tool_writes_the_file_and_says_where(spectra, tmp_path, kind, capsys):
    out = tmp_path / "new" / f"figure.{kind}"
    assert main([str(tmp_path), "--by", "reg", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000 and capsys.readouterr().out.strip() == str(out)


def test_the_same_figure_is_the_same_file(spectra, tmp_path):
    for name in ("a.svg", "b.svg"):
        assert main([str(tmp_path), "--by", "reg", "--out", str(tmp_path / "x" / name)]) == 0
    assert (tmp_path / "x/a.svg").read_bytes() == (tmp_path / "x/b.svg").read_bytes()


def test_names_are_drawn_as_they_are(tmp_path):
    overrides = {"reg": r"$\frac{1}$ <b>"}
    write_run(tmp_path / "0", overrides, {}, curves={"val/acc": {0: 1.0, 1: 2.0}})
    out = tmp_path / "x.svg"
    assert main([str(tmp_path), "--figure", "learning", "--by", "reg", "--out", str(out)]) == 0
    assert "<b>" not in out.read_text()


WRONG = {
    "folder": (["{}/nothing"], "nothing: no such folder"),
    "empty": (["{}/empty"], "no run folder in it"),
    "kind": (["{}/0", "--out", "{}/x.doc"], "doc"),
    "key": (["{}/0", "--by", "regs"], "did you mean 'reg'"),
    "option": (["{}/0", "--reach", "1"], "--reach: not of --figure training"),
    "metric": (["{}/0", "--figure", "learning", "--metric", "val/ac"], "did you mean 'val/acc'"),
    "array": (["{}/0", "--figure", "gradients"], "signal_grad/log was not measured"),
    "cut": (["{}/bad"], "damaged"),
    "text": (["{}/text"], "damaged (no arrays in it)"),
}


@pytest.mark.parametrize("arguments, message", WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(tmp_path, arguments, message, capsys):
    (tmp_path / "empty").mkdir()
    arrays = {"jacobian/spectrum": ([0], [[[1.0, 2]]])}
    write_run(tmp_path / "0", {}, {}, curves={"val/acc": {0: 1.0}}, spectra=arrays)
    bad = write_run(tmp_path / "bad", {}, {}, spectra=arrays) / "spectra.npz"
    bad.write_bytes(bad.read_bytes()[:200])
    write_run(tmp_path / "text", {}, {})
    (tmp_path / "text" / "spectra.npz").write_text("no arrays")
    assert main([a.format(tmp_path) for a in arguments]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ") and message in line and line.count("\n") == 1


@pytest.mark.parametrize("letters", [3, 12, 24, 42, 60])
def test_a_legend_lies_on_the_page_however_long_its_names(letters):
    with style.styled_context():
        figure, (axes,) = style.page()
        for i in range(4):
            axes.plot([0, 1], label=style.wrapped(f"{i}" * letters, 44))
        style.legend(figure, "what the curves are, " * 4)
        figure.draw_without_rendering()
    (legend,) = figure.legends
    extent = legend.get_window_extent()
    assert figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1


def test_conditions_with_long_names_stand_from_the_top_down(tmp_path):
    for i, name in enumerate(["a" * 20, "b" * 20, "c" * 20]):
        for seed in range(2):
            overrides = {"reg": name, "seed": seed}
            write_run(tmp_path / f"{i}{seed}", overrides, {"test/acc": i + seed})
    (axes,) = means.means(runs(tmp_path), ("reg",)).axes
    assert [text.get_text()[0] for text in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.yaxis_inverted() and axes.get_xlabel() == "test accuracy"
    assert axes.containers[0].lines[0].get_xdata().tolist() == [0.5, 1.5, 2.5]


def test_a_legend_of_many_rows_makes_the_page_longer_and_leaves_the_panel_its_size():
    heights = []
    for curves in (2, 20):
        with style.styled_context():
            figure, (axes,) = style.page()
            for i in range(curves):
                axes.plot([0, 1], label=f"{i}" + "-" * 40)
            style.legend(figure)
            figure.draw_without_rendering()
        heights.append(axes.get_window_extent().height)
    assert heights[1] > 0.9 * heights[0]
