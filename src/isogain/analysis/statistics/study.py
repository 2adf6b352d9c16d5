"""Everything that is concluded from a table of runs, before it is written in any format."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.statistics.aggregate import (
    aggregated,
    best,
    better,
    check,
    label,
    mixed,
    numbers,
    plain,
    seeds,
)
from isogain.analysis.statistics.best_setting import tuned
from isogain.analysis.statistics.compare import compared
from isogain.analysis.statistics.digits import are_equal, estimate

METRICS = ("test/acc", "test/loss", "val/acc", "val/loss", "train/loss")  # the first there is


class Answer(NamedTuple):
    """What one metric says: `cells` of aggregated(), `pairs` of compared(), and the best cell in a sentence, or why
    there is none.
    """

    metric: str
    cells: pd.DataFrame
    pairs: pd.DataFrame
    best: str


class Study(NamedTuple):
    """The runs, how they were grouped, an answer a metric, what a reader has to know about the runs, which of them
    count (all, or what was tuned leaves), and the options of which each cell has its best value.
    """

    table: pd.DataFrame
    by: list[str]
    against: list[str]
    answers: list[Answer]
    notes: list[str]
    counted: pd.DataFrame
    tune: list[str]


def study(
    table: pd.DataFrame,
    by: Sequence[str],
    against: Sequence[str] = (),
    metrics: Sequence[str] = (),
    select: str | None = None,
    tune: Sequence[str] = (),
    to: str | None = None,
) -> Study:
    """Aggregate and compare; `select` is the metric that chooses the best cell, and the value of each option of `tune`
    that counts in a cell; without it validation's counterpart of the metric, never one of the test set. `to` as in
    compared(). Without metrics the first of METRICS that there is. Raises KeyError and ValueError.
    """
    check(table, [*by, *against])
    metrics = list(metrics) or [m for m in METRICS if m in table][:1]
    for name in [*metrics, *([select] if select else [])]:
        _check_numbers(table, name)
    if select and select.startswith("test/"):
        raise ValueError(f"--select {select}: what the test set chooses looks better than it is")
    sentences, counted, choices = notes(table, [*by, *against, *tune]), table, pd.DataFrame()
    if not metrics:
        sentences.append(f"no run has a result yet: none of {', '.join(METRICS)}")
    elif tune:
        chooser = select or _selector(table, metrics[0])
        if chooser not in table:
            raise ValueError(f"--tune: {_no_chooser(chooser, metrics[0])}")
        counted, choices = tuned(table, [*by, *against], tune, chooser)
        sentences += [*_chosen(choices, chooser), *_without_choice(table, tune)]
    answers = []
    for metric in metrics:
        cells = aggregated(counted, [*by, *against], metric)
        pairs = compared(counted, by, against, metric, to)
        chosen = _best(counted, cells, [*by, *against], metric, select or _selector(table, metric))
        for i, key in enumerate(choices, len(by) + len(against)):
            cells.insert(i, key, choices[key])
        answers.append(Answer(metric, cells, pairs, chosen))
    return Study(table, list(by), list(against), answers, sentences, counted, list(choices))


def _without_choice(table: pd.DataFrame, tune: Sequence[str]) -> list[str]:
    """A line for each option of `tune` of which all runs have the same value."""
    alone = {key: table[key].unique() for key in tune}
    return [
        f"--tune {key}: every run has {plain(values[0])}, so that nothing was chosen"
        for key, values in alone.items()
        if len(values) == 1
    ]


def _chosen(choices: pd.DataFrame, select: str) -> list[str]:
    """How options were chosen; `select` itself was then the best of several and looks better than it is."""
    how = "largest" if better(select) > 0 else "least"
    keys = ", ".join(choices)
    rule = (
        f"a cell has the {keys} with the {how} mean {select}, of those at which most seeds have one"
    )
    if not (nothing := int((choices == "all").all(axis=1).sum())):
        return [rule]
    return [rule, f"in {nothing} of {len(choices)} cells none has: they are means over all {keys}"]


def notes(table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """How many runs there are and how they ended, and what a cell mixes."""
    counts = table["status"].value_counts()
    sentences = [
        f"{len(table)} runs: " + ", ".join(f"{n} {status}" for status, n in counts.items())
    ]
    if within := mixed(table, by):
        levels = ", ".join(f"{k} ({table[k].nunique(dropna=False)} values)" for k in within)
        sentences.append(f"a cell is a mean over {levels} too")
    options = [k for k in table.attrs.get("options", []) if k in table and k != "seed"]
    again = table.assign(seed=seeds(table)).duplicated(["seed", *options])
    if again.any():
        sentences.append(
            f"{again.sum()} of the runs repeat another's options and seed: a seed counts once"
        )
    return sentences


def _check_numbers(table: pd.DataFrame, metric: str) -> None:
    check(table, [metric])
    if table[metric].notna().any() and not np.isfinite(numbers(table, metric)).any():
        raise ValueError(f"{metric}: holds no numbers")


def _selector(table: pd.DataFrame, metric: str) -> str:
    """Of a test metric, that of validation, whether or not runs have it."""
    split, _, name = metric.partition("/")
    if split != "test":
        return metric
    return next((m for m in (f"val/{name}_best", f"val/{name}") if m in table), f"val/{name}")


def _no_chooser(select: str, metric: str) -> str:
    return f"no run has {select}, and {metric} is the test set's; --select METRIC of validation"


def _best(table: pd.DataFrame, cells: pd.DataFrame, by: list[str], metric: str, select: str) -> str:
    sign = better(select)
    if not sign:
        return f"no best: whether more or less {select} is better is not known (--select METRIC)"
    if select not in table:
        return f"no best: {_no_chooser(select, metric)}"
    judged = aggregated(table, by, select)
    winner = best(judged, sign)
    if winner is None:
        return f"no best: no run finished with {select}"
    row = cells.loc[winner.name]
    name = label(by, [winner[key] for key in by]) if len(by) > 1 else f"{by[0]}={winner[by[0]]}"
    ties = int(are_equal(judged["mean"], winner["mean"]).sum()) - 1
    name += f" (and {ties} with the same mean)" if ties else ""
    how = f"{'largest' if sign > 0 else 'least'} mean {select}"
    trouble = f"; {row['others']}" if row["others"] else ""
    return f"best ({how}): {name}, {metric} {estimate(row)}, n={row['n']}{trouble}"
