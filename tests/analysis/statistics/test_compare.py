"""Paired comparisons, against closed forms and enumeration."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from isogain.analysis.statistics.aggregate import mixed
from isogain.analysis.statistics.compare import compared, holm, paired


def test_the_paired_t_test_is_the_closed_form_of_two_degrees_of_freedom():
    found = paired(np.array([1.0, 2, 3]))  # t = 2√3; of 2 degrees p = 1 − t/√(2 + t²)
    assert found["difference"] == 2 and found["d_z"] == pytest.approx(2)
    assert found["p"] == pytest.approx(1 - 12**0.5 / 14**0.5)
    half = 4.302653 / 3**0.5  # t(0.975; 2)
    assert (found["low"], found["high"]) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_wilcoxon_is_exact_by_enumeration_of_all_signs():
    d = np.array([0.3, -0.1, 0.6, 1.2, 0.4])
    ranks = np.argsort(np.argsort(abs(d))) + 1
    sums = np.array([ranks[np.array(s) > 0].sum() for s in product([-1, 1], repeat=5)])
    observed = ranks[d > 0].sum()
    p = min(1, 2 * min((sums >= observed).mean(), (sums <= observed).mean()))
    assert paired(d)["p_wilcoxon"] == pytest.approx(p)


def test_no_spread_gives_no_p_value_but_for_no_difference():
    assert np.isnan(paired(np.array([0.5, 0.5]))["p"]) and paired(np.zeros(3))["p"] == 1
    assert np.isnan(paired(np.array([0.5]))["p"]) and paired(np.array([]))["n"] == 0


def test_holm_by_hand():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])  # sorted times 4, 3, 2, 1, never falling
    np.testing.assert_allclose(holm(p), [0.03, 0.06, np.nan, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1] and len(holm(np.array([]))) == 0


def runs(rows, *, said=("reg", "gain")):
    table = pd.DataFrame(rows, columns=["reg", "gain", "seed", "acc", "status"])
    table["folder"] = [str(i) for i in range(len(table))]
    table.attrs["overridden"] = list(said)
    return table


def three_seeds(reg, gain, values, status="finished"):
    return [(reg, gain, seed, value, status) for seed, value in enumerate(values)]


def test_methods_are_paired_by_seed_and_not_by_order():
    table = runs(three_seeds("a", 1, [0.1, 0.5, 0.9]) + three_seeds("b", 1, [0.0, 0.3, 0.6])[::-1])
    (found,) = compared(table, ["reg"], ["gain"], "acc").to_dict("records")
    assert (found["first"], found["second"], found["n"], found["unpaired"]) == ("a", "b", 3, 0)
    assert found["difference"] == pytest.approx(0.2) and found["d_z"] == pytest.approx(2)


def test_a_seed_that_one_of_the_two_did_not_finish_is_left_out_and_counted():
    table = runs(
        three_seeds("a", 1, [0.1, 0.5, 0.9])
        + three_seeds("b", 1, [0.0, 0.3])
        + [("b", 1, 2, 0.99, "diverged")]
    )
    (found,) = compared(table, ["reg"], ["gain"], "acc").to_dict("records")
    assert (found["n"], found["unpaired"]) == (2, 1)
    assert found["difference"] == pytest.approx(0.15)


def test_each_condition_is_compared_and_all_are_corrected_together():
    rows = [
        row
        for gain in (1, 2)
        for reg, shift in (("a", 0.0), ("b", 0.1), ("c", 0.5))
        for row in three_seeds(reg, gain, np.array([0, 0.01, 0.03]) * gain * (shift + 1) + shift)
    ]
    found = compared(runs(rows), ["reg"], ["gain"], "acc")
    assert len(found) == 6 and set(found["gain"]) == {1, 2}
    np.testing.assert_allclose(found["p_holm"], holm(found["p"].to_numpy()))
    assert (found["p_holm"] > found["p"]).all()


def test_what_varies_besides_is_matched_and_a_seed_counts_once():
    rows = three_seeds("a", 1, [1, 2, 3]) + three_seeds("a", 2, [11, 12, 13])
    rows += three_seeds("b", 1, [0, 0, 0]) + three_seeds("b", 2, [10, 11, 10])
    (found,) = compared(runs(rows), ["reg"], [], "acc").to_dict("records")
    assert found["n"] == 3  # seeds, not runs: (1 + 1)/2, (2 + 1)/2, (3 + 3)/2
    assert found["difference"] == pytest.approx((1 + 1.5 + 3) / 3)


def test_a_match_that_only_one_method_has_is_no_pair():
    rows = three_seeds("a", 1, [1, 2, 3]) + three_seeds("b", 2, [0, 0, 0])
    (found,) = compared(runs(rows), ["reg"], [], "acc").to_dict("records")
    assert found["n"] == 0 and found["unpaired"] == 3


def test_sweeps_of_two_experiments_are_paired_by_seed_unless_one_method_is_in_both():
    found = runs(three_seeds("a", 1, [0.5, 0.6, 0.7]) + three_seeds("b", 1, [0.7, 0.9, 0.8]))
    found["experiment"] = ["x"] * 3 + ["x/references"] * 3
    (pair,) = compared(found, ["reg"], [], "acc").to_dict("records")
    assert pair["n"] == 3 and pair["difference"] == pytest.approx(-0.2)
    assert mixed(found, ["reg"]) == []
    found.loc[5, "experiment"] = "x"
    (pair,) = compared(found, ["reg"], [], "acc").to_dict("records")
    assert mixed(found, ["reg"]) == ["experiment"]
    assert pair["n"] == 1 and pair["difference"] == pytest.approx(-0.1)


def test_differences_that_are_equal_but_for_rounding_have_no_p_value():
    found = paired(np.array([0.3 - 0.1, 0.2, 0.7 - 0.5]))
    assert np.isnan(found["p"]) and found["difference"] == pytest.approx(0.2)


def test_comparisons_with_one_method_are_the_others_minus_it_corrected_among_themselves():
    rng = np.random.default_rng(0)
    rows = [row for m in "abc" for row in three_seeds(m, 1, rng.normal(size=3))]
    every = compared(runs(rows), ["reg"], [], "acc").set_index(["first", "second"])
    some = compared(runs(rows), ["reg"], [], "acc", to="b").set_index("first")
    assert some.index.tolist() == ["a", "c"] and set(some["second"]) == {"b"}
    assert some.loc["a", "p"] == every.loc[("a", "b"), "p"]
    assert some.loc["c", "difference"] == pytest.approx(-every.loc[("b", "c"), "difference"])
    assert some["p_holm"].tolist() == pytest.approx(holm(some["p"].to_numpy()).tolist())
    by_level = compared(runs(rows), ["reg", "gain"], [], "acc", to="b")
    assert by_level["second"].tolist() == ["reg=b gain=1"] * 2
    with pytest.raises(KeyError, match="--to d: no method of this name"):
        compared(runs(rows), ["reg"], [], "acc", to="d")
