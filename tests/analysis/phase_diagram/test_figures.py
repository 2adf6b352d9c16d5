"""The data behind the theory's figures, and the tool that prints and draws."""

import math

import pytest
import torch

from isogain.analysis.phase_diagram import figures
from isogain.analysis.phase_diagram.__main__ import main
from isogain.theory.meanfield import chi, critical, q_star
from isogain.theory.spectrum import density, moments, s2_max


def test_the_phase_diagram_holds_chi_and_the_critical_line():
    w, b, found, (line_w, line_b) = figures.phase_data("tanh", points=12)
    assert found.shape == (12, 12)
    at = w[7].item(), b[3].item()
    assert found[3, 7].item() == pytest.approx(chi("tanh", q_star("tanh", *at), at[0]))
    i = 150
    assert (line_w[i], line_b[i]) == pytest.approx(critical("tanh", figures.LINE[i].item()))
    axes = figures.phase_figure("tanh", (1.2, 0.1)).axes[0]
    line, point = axes.lines
    torch.testing.assert_close(torch.tensor(line.get_xdata()), line_w)
    assert point.get_xydata().tolist() == [[1.2, 0.1]]
    assert axes.get_xlabel() and axes.get_ylabel() and axes.get_title() == "Phases of tanh"


@pytest.mark.slow
def test_the_density_figure_has_a_curve_a_depth_and_a_mark_an_atom():
    data = figures.density_data("hardtanh", 0.3, 1.1, [2, 5], "orthogonal")
    s, curve, atoms = data[5]
    torch.testing.assert_close(curve, density("hardtanh", 0.3, 1.1, 5, "orthogonal", s))
    axes = figures.density_figure("hardtanh", 0.3, 1.1, [2, 5], "orthogonal").axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 1]
    marks = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(curves) == 2 and marks == [*data[2][2], *atoms]
    assert [text.get_text()[:5] for text in axes.get_legend().texts] == ["L = 2", "L = 5"]
    assert axes.get_xlabel() and axes.get_ylabel() == "density"


def test_the_edge_figure_has_both_ensembles_and_the_root_mean_square():
    data = figures.edge_data("tanh", 0.5, 1.4, 6)
    assert list(data) == ["mean", "orthogonal", "gaussian"]
    depths, edge = data["gaussian"]
    assert depths[0] == 1 and depths[-1] == 6
    assert edge[-1].item() == pytest.approx(math.sqrt(s2_max("tanh", 0.5, 1.4, 6, "gaussian")))
    root = math.sqrt(moments("tanh", 0.5, 1.4, 6)[0])
    assert data["mean"][1][-1].item() == pytest.approx(root)
    axes = figures.edge_figure("tanh", 0.5, 1.4, 6).axes[0]
    assert len(axes.lines) == 3 and axes.get_xscale() == axes.get_yscale() == "log"


@pytest.mark.slow
def test_the_tool_prints_a_table_and_writes_png_and_svg(tmp_path, capsys):
    out = tmp_path / "figures"
    arguments = ["--q-star", "0.015625", "--depth", "200", "--depths", "4", "--out", str(out)]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "1.030557511" in told and "4.651333266e-06" in told
    assert "variance 0.337874, s_max² 2.59477" in told
    for name in ("phases", "density", "edge"):
        for kind in ("png", "svg"):
            assert (out / f"{name}.{kind}").stat().st_size > 5000
            assert f"{name}.{kind}" in told


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--q-star 0.015625 --depth 200", "variance 0.337874, s_max² 2.59477"),
        ("--activation relu --q-star 1 --depth 8", "s_max² 20.372"),
        ("--activation linear --q-star 1 --depth 32", "s_max² 88.3407"),
        ("--sigma-w 1.5 --sigma-b 0.2", "chaotic"),
        ("--sigma-w 0.9 --sigma-b 0.2", "ordered"),
        ("--activation hardtanh --sigma-w 1.05", "critical"),
    ],
)
def test_the_table_is_there_for_every_way_to_name_a_point(arguments, expected, capsys):
    assert main(arguments.split()) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "give --q-star, or --sigma-w"),
        ("--q-star 1 --sigma-w 1", "give --q-star, or --sigma-w"),
        ("--q-star 1 --sigma-b 1", "give --q-star, or --sigma-w"),
        ("--activation tahn --q-star 1", "did you mean 'tanh'?"),
        ("--activation modrelu --q-star 1", "modrelu"),
        ("--activation relu --sigma-w 1.5 --sigma-b 0", "grows without bound"),
        ("--sigma-w 0.9", "chi < 1 at every q_star"),
        ("--sigma-w 0.9 --sigma-b 0", "signals die out"),
        ("--q-star 1 --depth 0", "depth must be a finite number >= 1"),
        ("--q-star -1", "q_star must be a finite number >= 0"),
        ("--activation hardtanh --sigma-w 1e9 --sigma-b 0 --depth 5000", ""),
    ],
)
def test_a_point_that_does_not_exist_is_one_line(arguments, reason, capsys):
    assert main(arguments.split()) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and reason in told


def test_the_help_explains(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and "--q-star" in told and "python -m isogain.theory" in told
