"""Means over seeds, against values worked by hand."""

import numpy as np
import pandas as pd
import pytest

from isogain.analysis.statistics.aggregate import (
    aggregated,
    best,
    better,
    methods,
    per_seed,
    spread,
    varied,
)


def table(**columns):
    n = len(next(iter(columns.values())))
    whole = {"folder": [str(i) for i in range(n)], "status": ["finished"] * n, "seed": range(n)}
    found = pd.DataFrame(whole | columns)
    found.attrs["overridden"] = [c for c in columns if c not in ("status", "seed", "acc")]
    return found


def test_mean_error_and_interval_are_those_worked_by_hand():
    found = spread(np.array([1.0, 2, 3, 4]))  # s² = 5/3, t(0.975; 3) = 3.18245
    assert (found["n"], found["mean"]) == (4, 2.5)
    assert found["std"] == pytest.approx((5 / 3) ** 0.5)
    assert found["sem"] == pytest.approx((5 / 12) ** 0.5)
    assert found["high"] - 2.5 == pytest.approx(3.18245 * (5 / 12) ** 0.5, rel=1e-5)
    assert found["low"] == pytest.approx(5 - found["high"])


def test_the_interval_holds_the_true_mean_in_95_of_100_cases():
    draws = np.random.default_rng(0).normal(3, 2, (2000, 5))
    held = [s["low"] <= 3 <= s["high"] for s in map(spread, draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)  # 3 standard errors


def test_one_value_has_no_error_and_none_no_mean():
    assert np.isnan(spread(np.array([1.0]))["sem"]) and np.isnan(spread(np.array([1.0]))["low"])
    assert np.isnan(spread(np.array([]))["mean"]) and spread(np.array([]))["n"] == 0


def test_a_run_that_did_not_finish_is_in_no_mean_and_told():
    runs = table(
        reg=["a"] * 5,
        acc=[0.5, 0.7, 0.1, np.nan, np.nan],
        status=["finished", "finished", "diverged", "pending", "finished"],
    )
    (cell,) = aggregated(runs, ["reg"], "acc").to_dict("records")
    assert (cell["n"], cell["runs"]) == (2, 5) and cell["mean"] == pytest.approx(0.6)
    assert cell["others"] == "1 diverged, 1 pending, 1 without acc"


def test_several_runs_of_a_seed_count_once():
    runs = table(seed=[0, 0, 1], acc=[0.2, 0.4, 0.9], lr=[1, 2, 1])
    assert per_seed(runs, "acc").tolist() == pytest.approx([0.3, 0.9])


def test_runs_that_do_not_know_their_seed_count_each():
    assert len(per_seed(table(seed=[None, None], acc=[0.1, 0.2]), "acc")) == 2


def test_a_level_that_is_absent_is_a_cell_too():
    runs = table(margin=[0.1, np.nan, np.nan], acc=[1.0, 2, 3])
    assert aggregated(runs, ["margin"], "acc")["n"].tolist() == [1, 2]


def test_what_varies_is_found_and_seeds_are_not_methods():
    runs = table(lr=[1, 1, 2], reg=["a", "b", "b"], hidden=[8, 8, 8], acc=[1, 2, 3])
    assert varied(runs) == ["lr", "reg"]
    assert methods(runs) == (["reg"], ["lr"])


def test_options_of_the_method_tell_methods_apart():
    runs = table(**{"reg": ["a", "b", "b"], "reg.margin": [None, 0, 1], "lr": [1, 2, 2]})
    assert methods(runs) == (["reg", "reg.margin"], ["lr"])


def test_the_direction_of_a_metric_is_known_or_not_guessed():
    assert [better(m) for m in ("test/acc", "val/acc_best", "train/loss", "gap/final")] == [
        1,
        1,
        -1,
        -1,
    ]
    assert better("jacobian/mean_square") == 0 and better("steps_to/train/loss/0.1") == -1


def test_the_best_is_not_what_survived_divergence():
    cells = pd.DataFrame({"mean": [0.9, 0.8, np.nan], "others": ["3 diverged", "", "4 failed"]})
    assert best(cells, 1)["mean"] == 0.8 and best(cells[:1], 1)["mean"] == 0.9
    assert best(cells, -1)["mean"] == 0.8 and best(cells[2:], 1) is None and best(cells, 0) is None


def test_an_unknown_column_is_told_with_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'acc'"):
        aggregated(table(acc=[1]), ["reg"][:0], "accc")
