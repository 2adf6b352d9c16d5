"""The tool, from folders to files: what is printed, written and refused."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from run_folders import write_run

from isogain.analysis.report.__main__ import main

EVIL = '<script>alert(1)</script> "quoted" | & \x1b[31m'


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    rng, n = np.random.default_rng(0), 0
    for reg, shift in (("gain", 0.02), ("soft", 0.0)):
        for gain in (0.9, 1.1):
            for seed in range(4):
                acc = 0.8 + shift + 0.01 * seed + rng.normal(0, 1e-3)
                curves = {"train/acc": {s: acc * s / 4 for s in range(1, 5)}}
                said = {"reg": reg, "init.gain": gain, "seed": seed}
                spectra = {"jacobian/spectrum": ([0, 4], rng.uniform(0.5, 1, (2, 2, 3)))}
                numbers = {"test/acc": acc, "val/acc": acc - 0.1}
                write_run(folder / str(n), said, numbers, curves=curves, spectra=spectra)
                n += 1
    failed = {"reg": "soft", "init.gain": 1.1, "seed": 4}
    write_run(folder / "16", failed, {"status": "failed", "error": EVIL})
    (folder / "17").mkdir()
    (folder / "17" / "config.yaml").write_text(f"a: '{EVIL[:20]}'")
    points = [{"folder": str(i), "overrides": []} for i in range(17)]
    points += [{"folder": "99", "overrides": ["reg=gain", "init.gain=0.9", "seed=9"]}]
    (folder / "sweep.json").write_text(json.dumps({"points": points}))
    return folder


@pytest.fixture(scope="module")
def written(sweep, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert main([str(sweep), "--out", str(out)]) == 0
    return out


def test_every_run_is_accounted_for_in_print(sweep, capsys):
    assert main([str(sweep)]) == 0
    told = capsys.readouterr().out
    assert "18 runs: 16 finished" in told and "1 failed" in told and "1 pending" in told
    assert "n=4, 1 failed" in told and "n=4, 1 pending" in told
    assert "compared: reg, under each init.gain" in told and "largest mean val/acc" in told
    assert str(sweep / "17") in told and "not one of isogain's" in told
    assert "\x1b" not in told and "\\<script>" in told and "\\|" in told


@pytest.mark.slow
def test_the_files_hold_what_the_table_says(sweep, written):
    runs = pd.read_csv(written / "runs.csv")
    assert len(runs) == 18
    cells = pd.read_csv(written / "cells.csv").set_index(["reg", "init.gain"])
    done = runs[(runs["reg"] == "soft") & (runs["init.gain"] == 1.1)]["test/acc"].dropna()
    cell = cells.loc[("soft", 1.1)]
    assert cell["mean"] == pytest.approx(done.mean()) and cell["n"] == 4
    assert cell["sem"] == pytest.approx(done.std() / 2)
    pairs = pd.read_csv(written / "pairs.csv")
    assert len(pairs) == 2 and (pairs["difference"] - 0.02).abs().max() < 2e-3


def test_latex_is_booktabs_with_everything_escaped(written):
    text = (written / "report.tex").read_text()
    assert r"\toprule" in text and r"\bottomrule" in text and r"$\pm$" in text
    assert text.isascii() and r"\& " in text


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset", "action", "data")]
        assert not any(k.startswith("on") for k, _ in attrs)


def test_the_page_needs_nothing_else_and_runs_nothing(written):
    text = (written / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert "script" not in page.tags and "link" not in page.tags and "&lt;script&gt;" in text
    assert len(page.links) >= 3 and all(link.startswith("data:image/") for link in page.links)
    assert (
        "default-src 'none'" in text
        and "\x1b" not in text
        and not re.search(r"@import|url\(", text)
    )
    svg = base64.b64decode(page.links[0].partition("base64,")[2]).decode()
    assert svg.startswith("<?xml") and "<script" not in svg


def test_figures_are_written_as_png_and_svg(written):
    names = {path.name for path in (written / "figures").iterdir()}
    assert {"test_acc.png", "test_acc.svg", "learning_curves.png"} <= names
    assert "singular_values_of_the_jacobian.svg" in names
    assert (
        "Gradients by layer or time step" in (written / "report.html").read_text()
    )  # not drawn: why


def test_one_file_of_each_kind_can_be_asked_for(sweep, tmp_path):
    paths = {kind: tmp_path / "new" / f"x.{kind}" for kind in ("markdown", "csv", "latex")}
    asked = [f"--{kind}={path}" for kind, path in paths.items()]
    assert main([str(sweep), "--by", "init.gain", "--metric", "test/acc", "val/acc", *asked]) == 0
    assert "## val/acc" in paths["markdown"].read_text()
    assert len(pd.read_csv(paths["csv"])) == 18


WRONG = {
    "no folder": (["{}/nothing"], "nothing: no such folder"),
    "metric": (["{}", "--metric", "test/ac"], "did you mean 'test/acc'"),
    "column": (["{}", "--by", "regs"], "did you mean 'reg'"),
    "select": (["{}", "--select", "val/ac"], "did you mean 'val/acc'"),
    "text": (["{}", "--metric", "reg"], "reg: holds no numbers"),
    "no run": (["{}/17"], "no run folder in it"),
    "unwritable": (["{}", "--csv", "{}/sweep.json/x.csv"], "sweep.json"),
}


@pytest.mark.parametrize("arguments, told", WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(sweep, arguments, told, capsys):
    assert main([a.format(sweep) for a in arguments]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ") and told in line and line.count("\n") == 1


def test_levels_are_written_as_they_were_said_and_in_their_order(tmp_path, capsys):
    for depth in (2, 10):
        for seed in (0, 1):
            said = {"model.depth": depth, "init.gain": 1.0 + (depth > 5) / 10, "seed": seed}
            write_run(tmp_path / f"{depth}-{seed}", said, {"test/acc": depth / 20})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "summary.json").write_text(
        '{"status": "failed"}'
    )  # its options are not known
    assert main([str(tmp_path), "--by", "model.depth", "--against", "init.gain"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if "n=2" in line]
    assert cells[:2] == [
        ["2", "0.1 ± 0 (n=2)", "no run", "no run"],
        ["10", "no run", "0.5 ± 0 (n=2)", "no run"],
    ]


@pytest.mark.slow
def test_what_is_too_long_for_a_terminal_is_cut_there_and_whole_in_files(tmp_path, capsys):
    for i in range(50):
        write_run(tmp_path / "s" / str(i), {"init.gain": 1.0 + i}, {"test/acc": i / 100})
    assert main([str(tmp_path / "s"), "--markdown", str(tmp_path / "x.md")]) == 0
    assert "the first 40, 10 more" in capsys.readouterr().out
    whole = (tmp_path / "x.md").read_text()
    assert "more with --out" not in whole and whole.count("n=1 ") == 50


def test_levels_of_several_kinds_are_told_apart(tmp_path, capsys):
    for i, rate in enumerate([1, 1.5, "auto", None, 0.1 + 0.2, 0.3]):
        write_run(tmp_path / str(i), {"optim.lr": rate}, {"test/acc": i / 10})
    assert main([str(tmp_path), "--by", "optim.lr", "--against", "seed"]) == 0
    told = capsys.readouterr().out
    for rate in ("1", "1.5", "auto", "–", "0.30000000000000004", "0.3"):
        assert f"| {rate} " in told


def test_a_single_run_and_a_sweep_without_a_result_are_reported(tmp_path, capsys):
    write_run(tmp_path / "0", {"seed": 0}, {"test/acc": 0.5})
    assert main([str(tmp_path)]) == 0 and "n=1" in capsys.readouterr().out
    write_run(tmp_path / "x" / "1", {}, {"status": "diverged", "test/acc": float("nan")})
    assert main([str(tmp_path / "x")]) == 0
    told = capsys.readouterr().out
    assert "n=0, 1 diverged" in told and "no best" in told


def test_a_sweep_without_any_metric_yet_is_reported(tmp_path, capsys):
    write_run(tmp_path / "0", {}, {"status": "failed", "error": "no memory"})
    write_run(tmp_path / "1")
    assert main([str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    told = capsys.readouterr().out
    assert "2 runs: 1 failed, 1 unfinished" in told and "no memory" in told
    assert "no run has a result yet" in told
