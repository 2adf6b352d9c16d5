"""A study as Markdown, LaTeX and CSV: pandas writes the tables."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from isogain.analysis.statistics.aggregate import label, plain, varied
from isogain.analysis.statistics.digits import estimate, interval, rounded
from isogain.analysis.statistics.study import Answer, Study
from isogain.config import terminal
from isogain.config.terminal import defused
from isogain.record.run_status import Status

SYMBOLS = {"±": r"$\pm$", "−": "$-$", "–": "--", "…": r"\ldots{}", "�": "?"}
SHOWN_OPTIONS = 4  # of a run that went wrong: its folder has them all
WIDE = 6  # conditions, from which on a cell gets a row of its own
MEAN = "mean over n seeds ± half the width of its 95 % interval (t)"
TESTS = (
    "d_z: mean difference over its standard deviation; p: paired t test, Wilcoxon's signed rank test, "
    "and the former corrected for {} comparisons (Holm)"
)


class Part(NamedTuple):
    """A heading, sentences, and a table of text."""

    title: str
    lines: list[str]
    table: pd.DataFrame


def parts(study: Study, limit: int | None = None) -> list[Part]:
    """What every format shows, in order; of runs that went wrong and of comparisons at most `limit`."""
    shown = [Part("Runs", [*study.notes, _compared(study)], wrong(study.table, limit))]
    for answer in study.answers:
        table = cells(study, answer)
        lines = [MEAN, answer.best, *_rest(table, limit)]
        shown.append(Part(answer.metric, lines, table[:limit]))
        if len(answer.pairs):
            shown.append(_pairs(answer, limit))
    if skipped := study.table.attrs.get("skipped"):
        table = pd.DataFrame({"folder": list(skipped), "why": list(skipped.values())})
        shown.append(Part("Not read", [f"{len(skipped)} in all"], table[:limit]))
    return shown


def _compared(study: Study) -> str:
    under = f", under each {', '.join(study.against)}" if study.against else ""
    return f"compared: {', '.join(study.by) or 'nothing'}{under}"


def _pairs(answer: Answer, limit: int | None) -> Part:
    title = f"{answer.metric}, two by two on the same seeds"
    if (answer.pairs["n"] < 2).all():
        return Part(title, ["nothing to compare: no two have two seeds in common"], pd.DataFrame())
    tested = answer.pairs["p"].notna()
    equal = int((~tested & (answer.pairs["n"] > 1)).sum())
    same = (
        [f"{equal} of the comparisons differ by the same at every seed: no t test"] if equal else []
    )
    lines = [TESTS.format(int(tested.sum())), *same, *_rest(answer.pairs, limit)]
    return Part(title, lines, pairs(answer)[:limit])


def _rest(table: pd.DataFrame, limit: int | None) -> list[str]:
    rest = len(table) - limit if limit is not None else 0
    return [f"the first {limit}, {rest} more with --out"] if rest > 0 else []


def wrong(table: pd.DataFrame, limit: int | None = None) -> pd.DataFrame:
    """The runs that are no result, each with its options and its reason."""
    options = [*varied(table)[:SHOWN_OPTIONS], "seed"]
    counted = [s for s in Status if s is Status.FINISHED or s.goes_on]
    bad = table[~table["status"].isin(counted)][["folder", *options, "status", "error"]]
    bad[options] = bad[options].map(plain)
    if limit is None or len(bad) <= limit:
        return bad
    rest = dict.fromkeys(bad, "") | {"folder": f"and {len(bad) - limit} more"}
    return pd.concat([bad[:limit], pd.DataFrame([rest])])


def cells(study: Study, answer: Answer) -> pd.DataFrame:
    """A row a method and a column a condition, or a row a cell where that gets too wide."""
    table = answer.cells
    names = [label(study.against, row) for row in table[study.against].itertuples(index=False)]
    if not study.against or study.tune or len(set(names)) > WIDE:
        return _long(table, [*study.by, *study.against, *study.tune])
    text = [f"{estimate(row)} ({_runs(row)})" for _, row in table.iterrows()]
    heads = [f"{', '.join(study.against)} = {n}" if len(study.against) == 1 else n for n in names]
    wide = table[study.by].map(plain).assign(head=heads, text=text)
    order = list(dict.fromkeys(heads))
    rows = list(wide[study.by].drop_duplicates().itertuples(index=False, name=None))
    wide = wide.set_index([*study.by, "head"])["text"].unstack("head").fillna("no run")
    wide = wide.reindex(rows if len(study.by) > 1 else [row[0] for row in rows])[order]
    return wide.reset_index().rename_axis(columns=None)


def _long(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    rows = list(table.iterrows())
    return (
        table[by]
        .map(plain)
        .assign(
            mean=[rounded(row["mean"], (row["high"] - row["low"]) / 2) for _, row in rows],
            **{
                "s.e.": [rounded(row["sem"], row["sem"]) for _, row in rows],
                "95 % interval": [interval(row) for _, row in rows],
                "runs": [_runs(row) for _, row in rows],
            },
        )
    )


def _runs(row: pd.Series) -> str:
    return f"n={row['n']}" + (f", {row['others']}" if row["others"] else "")


def pairs(answer: Answer) -> pd.DataFrame:
    """The comparisons, the smallest corrected p first."""
    table = answer.pairs.sort_values("p_holm", kind="stable")
    conditions = table[table.columns[: table.columns.get_loc("first")]].map(plain)
    half = (table["high"] - table["low"]) / 2
    lost = [f", {k} unpaired" if k else "" for k in table["unpaired"]]
    return conditions.assign(
        **{
            "first − second": table["first"] + " − " + table["second"],
            "difference": [rounded(*pair) for pair in zip(table["difference"], half, strict=True)],
            "95 % interval": [interval(row) for _, row in table.iterrows()],
            "d_z": table["d_z"].map(lambda d: rounded(d, 0.1)),
            "p (t)": table["p"].map(_p),
            "p (Wilcoxon)": table["p_wilcoxon"].map(_p),
            "p (t, Holm)": table["p_holm"].map(_p),
            "pairs": [f"n={n}{more}" for n, more in zip(table["n"], lost, strict=True)],
        }
    )


def _p(p: float) -> str:
    return _text(p, "{:.1e}" if p < 1e-3 else "{:.3f}")


def _text(value: float, form: str) -> str:
    return form.format(value) if np.isfinite(value) else "–"


def printable(value: object) -> str:
    """One line of text that does nothing to a terminal."""
    return terminal.printable("–" if value is None or value != value else value)


def markdown(study: Study, limit: int | None = None) -> str:
    """Headings, lists and pipe tables; the longest cut to `limit` rows."""
    return "\n".join(_sections(parts(study, limit), "## {}", "- {}", _pipes, _marked))


def latex(study: Study) -> str:
    """Tables with booktabs' rules, to be \\input."""
    text = "\n".join(_sections(parts(study), "% {}", "% {}", _booktabs, printable))
    return text.translate(str.maketrans(SYMBOLS))  # LaTeX's own: no package for Unicode is needed


def _sections(
    shown: list[Part], head: str, item: str, table: Callable, escaped: Callable[[object], str]
) -> list[str]:
    lines = []
    for part in shown:
        lines += [head.format(escaped(part.title)), ""]
        lines += [*(item.format(escaped(line)) for line in part.lines), ""] if part.lines else []
        lines += [table(part.table), ""] if len(part.table) else []
    return lines


def _pipes(table: pd.DataFrame) -> str:
    plain = table.rename(columns=_marked).map(_marked)
    return plain.to_markdown(index=False, disable_numparse=True)


def _marked(value: object) -> str:
    """What Markdown would take for a column's end or for HTML is escaped."""
    return re.sub(r"[\\|<\[`]", r"\\\g<0>", printable(value))


def _booktabs(table: pd.DataFrame) -> str:
    plain = table.rename(columns=printable).map(printable)
    rows = plain.to_latex(index=False, escape=True).rstrip()
    return re.sub(r"^\[", "{[}", rows, flags=re.MULTILINE)  # after a row's end it begins an option


def write_csv(study: Study, folder: Path) -> list[Path]:
    """runs.csv, cells.csv and pairs.csv, every digit kept."""
    kinds = {
        "runs": study.table,
        "cells": _stacked({a.metric: a.cells for a in study.answers}),
        "pairs": _stacked({a.metric: a.pairs for a in study.answers}),
    }
    for name, table in kinds.items():
        (folder / f"{name}.csv").write_text(csv(table), encoding="utf-8")
    return [folder / f"{name}.csv" for name in kinds]


def csv(table: pd.DataFrame) -> str:
    """The table, in which no text is a formula to a spreadsheet."""
    return table.rename(columns=defused).map(defused).to_csv(index=False)


def _stacked(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    known = [table.assign(metric=metric) for metric, table in tables.items()]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame()
