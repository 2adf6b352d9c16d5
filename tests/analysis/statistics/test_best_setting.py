"""Each cell at its best setting, which the test set has no say in."""

import numpy as np
import pandas as pd
import pytest
from run_folders import write_run

from isogain.analysis.report.__main__ import main
from isogain.analysis.statistics.best_setting import tuned
from isogain.analysis.statistics.study import study

RATES, SEEDS = (0.1, 1.0, 10.0), 3


def table(**values):
    """Methods a and b × RATES × SEEDS; a metric is a function of method, rate and seed."""
    rows = [(m, r, s) for m in "ab" for r in RATES for s in range(SEEDS)]
    found = pd.DataFrame(rows, columns=["reg", "optim.lr", "seed"])
    found["folder"], found["status"] = found.index.map(str), "finished"
    for name, value in values.items():
        found[name.replace("_", "/")] = [value(*row) for row in rows]
    found.attrs = {
        "overridden": ["reg", "optim.lr", "seed"],
        "options": ["reg", "optim.lr", "seed"],
    }
    return found


def best_rates(val):
    return dict(
        zip(
            "ab",
            tuned(table(val_acc=val), ["reg"], ["optim.lr"], "val/acc").choices["optim.lr"],
            strict=True,
        )
    )


def test_the_mean_over_seeds_chooses_in_each_cell_and_ends_of_the_grid_are_told():
    peak = {"a": 1.0, "b": 10.0}
    lucky = {("a", 10.0, 0): 0.6}  # one seed is no mean
    found = best_rates(lambda m, r, s: lucky.get((m, r, s), 0.5 - 0.1 * abs(np.log10(r / peak[m]))))
    assert found == {"a": "1", "b": "10 (largest tried)"}


def test_a_value_that_fewer_seeds_finished_loses_to_one_that_all_did():
    found = best_rates(lambda m, r, s: np.nan if (r, s) == (10.0, 1) else r / 100)
    assert found == {"a": "1", "b": "1"}


def test_of_two_options_the_best_pair_is_chosen():
    runs = table(val_loss=lambda m, r, s: r).assign(model=["x", "y", "y"] * 6)
    runs["val/loss"] += np.where((runs["model"] == "y") & (runs["optim.lr"] == 1.0), -5, 0)
    found = tuned(runs, ["reg"], ["optim.lr", "model"], "val/loss")
    assert found.choices.to_numpy().tolist() == [["1", "y"]] * 2
    assert set(found.table["val/loss"]) == {-4.0} and "optim.lr" not in found.table


def test_methods_at_different_rates_are_paired_by_their_seeds():
    best = {"a": 0.1, "b": 10.0}
    runs = table(
        val_acc=lambda m, r, s: float(r == best[m]),
        test_acc=lambda m, r, s: (0.5 + 0.1 * (m == "b") + 0.01 * s) * (r == best[m]),
    )
    found = study(runs, ["reg"], metrics=["test/acc"], tune=["optim.lr"])
    (pair,) = found.answers[0].pairs.to_dict("records")
    assert pair["n"] == SEEDS and pair["unpaired"] == 0
    assert pair["difference"] == pytest.approx(-0.1)
    assert len(found.table) == 18 and len(found.counted) == 6


def test_the_test_set_has_no_say():
    def score(sign):
        return lambda m, r, s: 0.5 + sign * np.log10(r) / 10

    runs = table(val_acc=score(1), test_acc=score(-1))
    (answer,) = study(runs, ["reg"], metrics=["test/acc"], tune=["optim.lr"]).answers
    assert answer.cells["mean"].tolist() == pytest.approx([0.4, 0.4])
    with pytest.raises(ValueError, match="test set"):
        study(runs.drop(columns="val/acc"), ["reg"], metrics=["test/acc"], tune=["optim.lr"])
    with pytest.raises(ValueError, match="test set"):
        study(runs, ["reg"], select="test/acc", tune=["optim.lr"])


def test_a_cell_in_which_nothing_arrived_keeps_all_its_runs_and_says_so():
    runs = table(steps_to=lambda m, r, s: 10 / r if m == "a" else np.nan)
    runs = runs.rename(columns={"steps/to": "steps_to/train/loss/0.5"})
    found = study(runs, ["reg"], metrics=["steps_to/train/loss/0.5"], tune=["optim.lr"])
    cells = found.answers[0].cells.set_index("reg")
    assert cells["optim.lr"].tolist() == ["10 (largest tried)", "all"]
    assert cells["n"].tolist() == [3, 0] and cells["runs"].tolist() == [3, 9]
    assert cells.loc["b", "others"] == "9 without steps_to/train/loss/0.5"
    assert "in 1 of 2 cells none has: they are means over all optim.lr" in found.notes


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    for i, (reg, rate, seed) in enumerate(
        (m, r, s) for m in ("gain", "soft") for r in (1e-3, 0.01) for s in (0, 1)
    ):
        said = {"reg": reg, "optim.lr": rate, "seed": seed}
        acc = 0.5 + 10 * rate * (reg == "soft") - rate + seed / 100
        write_run(folder / str(i), said, {"val/acc": acc, "test/acc": acc / 2, "gap/mid": 1.0})
    write_run(folder / "8", said | {"seed": 2}, {"status": "diverged", "error": "nan"})
    return folder


def test_the_report_tells_what_was_chosen_and_how(sweep, tmp_path, capsys):
    assert main([str(sweep), "--tune", "optim.lr", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "9 runs: 8 finished, 1 diverged" in told and "compared: reg" in told
    assert "a cell has the optim.lr with the largest mean val/acc" in told
    assert "| soft  | 0.01 (largest tried)   |" in told
    assert "| soft  | 0.01       | 2      | diverged | nan     |" in told  # what was told, too
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert cells["optim.lr"].tolist() == ["0.001 (smallest tried)", "0.01 (largest tried)"]
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 9


@pytest.mark.parametrize("rates", [RATES, RATES[:1]])
def test_an_option_to_tune_that_does_not_vary_is_told(rates):
    runs = table(val_acc=lambda m, r, s: r, test_acc=lambda m, r, s: r)
    runs = runs[runs["optim.lr"].isin(rates)]
    told = "--tune optim.lr: every run has 0.1, so that nothing was chosen"
    found = study(runs, ["reg"], metrics=["test/acc"], tune=["optim.lr"])
    assert (told in found.notes) == (len(rates) == 1)


WRONG = {
    "unknown": (["--tune", "optim.rate"], "did you mean 'optim.lr'"),
    "twice": (["--by", "optim.lr", "--tune", "optim.lr"], "it is in --by or --against too"),
    "direction": (["--tune", "optim.lr", "--select", "gap/mid"], "--select METRIC"),
}


@pytest.mark.parametrize("arguments, told", WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(sweep, arguments, told, capsys):
    assert main([str(sweep), *arguments]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ") and told in line and line.count("\n") == 1
