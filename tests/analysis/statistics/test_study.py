"""What is concluded: the best is validation's, and what counts as a value is one thing everywhere."""

import numpy as np
import pandas as pd
import pytest

from isogain.analysis.report.text import cells, markdown
from isogain.analysis.statistics.aggregate import aggregated, per_seed, values
from isogain.analysis.statistics.best_setting import tuned
from isogain.analysis.statistics.compare import compared, paired
from isogain.analysis.statistics.study import Study, study


def acc_study(accuracies: dict, metric: str = "val/acc", **columns) -> Study:
    """Of one metric by method, a seed a value."""
    return study(acc_table(accuracies, metric, **columns), ["reg"], metrics=[metric])


def acc_table(accuracies: dict, metric: str = "val/acc", **columns) -> pd.DataFrame:
    rows = [(reg, seed, v) for reg, vs in accuracies.items() for seed, v in enumerate(vs)]
    table = pd.DataFrame(rows, columns=["reg", "seed", metric])
    table = table.assign(folder=[str(i) for i in range(len(rows))], status="finished", error="")
    table = table.assign(**columns)
    table.attrs = {"said": ["reg", "seed"], "options": ["reg"], "skipped": {}}
    return table


@pytest.mark.parametrize("name", ["acc", "loss", "bpc"])
def test_the_test_set_never_chooses_the_best(name):
    found = acc_study({"a": [0.1, 0.2], "b": [0.8, 0.9]}, f"test/{name}")
    (answer,) = found.answers
    assert answer.best.startswith(f"no best: no run has val/{name}")
    with pytest.raises(ValueError, match=f"--select test/{name}"):
        study(found.table, ["reg"], metrics=[f"test/{name}"], select=f"test/{name}")
    with pytest.raises((KeyError, ValueError)):
        tuned(found.table, [], ["reg"], f"test/{name}")


def test_validation_chooses_where_there_is_any():
    table = acc_table({"a": [0.1, 0.2], "b": [0.8, 0.9]}, "test/acc", **{"val/acc": [1, 1, 0, 0]})
    (answer,) = study(table, ["reg"], metrics=["test/acc"]).answers
    assert answer.best.startswith("best (largest mean val/acc): reg=a")


def test_means_that_differ_by_rounding_are_the_same_best():
    values = [0.7, 0.1, 0.3]
    found = acc_study({"a": values, "b": values[::-1], "c": [0.0, 0.1, 0.2]})
    assert "and 1 with the same mean" in found.answers[0].best


ODD = [0.5, np.inf, -np.inf, np.nan, None, True, "0.25", "high", 1e400]


def test_the_best_mean_reads_the_same_in_its_sentence_and_in_the_table():
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 8) * 5:
        accuracies = {reg: np.round(rng.uniform(0.4, 0.9, n), 4) for reg in "ab"}
        found = acc_study(accuracies)
        (answer,) = found.answers
        mean = answer.best.partition("val/acc ")[2].partition(",")[0]
        best = max(accuracies, key=lambda reg: accuracies[reg].mean())
        table = cells(found, answer).set_index("reg")
        assert table.loc[best, "mean"] == mean.partition(" ±")[0]


@pytest.mark.parametrize("status", ["finished", "diverged", "failed", "running"])
def test_aggregation_and_comparison_agree_on_what_a_value_is(status):
    one = acc_table({"a": ODD, "b": [0.5] * len(ODD)})
    one["val/acc"] = one["val/acc"].astype(object)
    one.loc[one["reg"] == "a", "status"] = status
    (cell, _) = aggregated(one, ["reg"], "val/acc").to_dict("records")
    (pair,) = compared(one, ["reg"], [], "val/acc").to_dict("records")
    a = one[one["reg"] == "a"]
    counted = int(values(a, "val/acc").notna().sum())
    assert cell["n"] == pair["n"] == len(per_seed(a, "val/acc")) == counted
    assert counted == (3 if status == "finished" else 0)  # 0.5, True and "0.25"
    assert counted == 0 or np.isfinite(pair["difference"])
    assert pair["n"] + pair["unpaired"] == len(ODD)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_what_differs_by_rounding_only_is_no_evidence(scale):
    rng = np.random.default_rng(0)
    a = scale * rng.uniform(0.3, 0.9, 12)
    b = np.nextafter(a, np.inf)  # one unit in the last place, all on one side
    (pair,) = compared(acc_table({"a": a, "b": b}), ["reg"], [], "val/acc").to_dict("records")
    assert (pair["difference"], pair["p"], pair["p_wilcoxon"], pair["d_z"]) == (0, 1, 1, 0)


def test_ranks_see_the_ties_that_rounding_hides():
    a = np.array([0.3, 0.7, 0.9, 0.4, 0.8, 0.6])
    shifts = np.array([0.2, -0.2, 0.2, 0.1, 0.1, 0.2])  # a + shift rounds each on its own way
    (pair,) = compared(acc_table({"a": a + shifts, "b": a}), ["reg"], [], "val/acc").to_dict(
        "records"
    )
    assert pair["p_wilcoxon"] == paired(np.array([2, -2, 2, 1, 1, 2.0]))["p_wilcoxon"]


def test_equal_differences_are_shown_and_said_to_have_no_t_test():
    a = np.array([0.25, 0.5, 0.75])
    found = acc_study({"a": a + 0.125, "b": a})
    (pair,) = found.answers[0].pairs.to_dict("records")
    assert np.isnan(pair["p"]) and pair["p_wilcoxon"] == pytest.approx(2 / 2**3)
    text = markdown(found)
    assert "no two have two seeds" not in text and "differ by the same at every seed" in text
    assert "0.125" in text and "n=3" in text


def test_one_seed_in_common_is_nothing_to_compare():
    assert "no two have two seeds in common" in markdown(acc_study({"a": [0.5], "b": [0.25]}))
