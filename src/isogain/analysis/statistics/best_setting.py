"""Each method at its own best setting: which value of an option, a learning rate say, counts in each cell."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.statistics.aggregate import (
    aggregated,
    better,
    check,
    first_best,
    grouped,
    plain,
)


class Tuned(NamedTuple):
    """The runs that count, without the options that were chosen, and the choice: a row a cell, a column an option."""

    table: pd.DataFrame
    choices: pd.DataFrame


def tuned(table: pd.DataFrame, by: Sequence[str], tune: Sequence[str], select: str) -> Tuned:
    """In each cell (levels of `by`) only the runs with the best values of `tune`: those with the best mean of `select`
    among values at which most seeds finished with one, the first of equals.

    A cell in which no run has `select` keeps all of its runs. Raises KeyError, and ValueError for a test metric or one
    of which the better side is not known.
    """
    check(table, [*by, *tune, select])
    _refuse(by, tune, select)
    kept, chosen = [], []
    for _, cell in grouped(table, by):
        levels = _best(aggregated(cell, tune, select), better(select))
        kept.append(cell if levels is None else cell[_agree(cell, tune, levels)])
        chosen.append([_setting(cell, key, levels) for key in tune])
    runs = pd.concat(kept).sort_index().drop(columns=list(tune))
    runs.attrs = table.attrs
    return Tuned(runs, pd.DataFrame(chosen, columns=list(tune)))


def _refuse(by: Sequence[str], tune: Sequence[str], select: str) -> None:
    if twice := [key for key in tune if key in by]:
        raise ValueError(f"--tune {twice[0]}: it is in --by or --against too")
    if select.startswith("test/"):
        raise ValueError(f"--tune: {select} is the test set's; --select METRIC of validation")
    if not better(select):
        raise ValueError(
            f"--tune: whether more or less {select} is better is not known; --select METRIC"
        )


def _best(values: pd.DataFrame, sign: int) -> pd.Series | None:
    known = values[values["n"] == max(values["n"].max(), 1)]
    return first_best(known, sign) if len(known) else None


def _agree(cell: pd.DataFrame, tune: Sequence[str], levels: pd.Series) -> pd.Series:
    same = [(cell[k] == levels[k]) | (cell[k].isna() & pd.isna(levels[k])) for k in tune]
    return pd.concat(same, axis=1).all(axis=1)


def _setting(cell: pd.DataFrame, key: str, levels: pd.Series | None) -> str:
    """The value, and whether it is the last one tried on its side: a better one may lie beyond it."""
    if levels is None:
        return "all"
    tried = pd.to_numeric(cell[key], errors="coerce").dropna().unique()
    name = {np.min: "smallest", np.max: "largest"}
    ends = [side for end, side in name.items() if len(tried) > 1 and levels[key] == end(tried)]
    return plain(levels[key]) + "".join(f" ({side} tried)" for side in ends)
