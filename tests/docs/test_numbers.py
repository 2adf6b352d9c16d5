"""Every number that a page quotes from a committed CSV is that of the CSV: if either changes alone, this fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pages
import pandas as pd
import pytest
from pages import ROOT
from quotes import FINDINGS, QUOTES, SETTINGS, STUDY, TASKS, Number

REPORTS = sorted((ROOT / "results").glob("*/report.md"))
RESULTS = {"n", "mean", "half", "runs", "difference", "d_z", "pairs"}
NUMBER = r"[-−]?\d[\d.]*(?:e[-+]\d+)?"
VERDICTS = {STUDY: "question, or claim", FINDINGS: "claim"}


def words(text: str) -> str:
    return " ".join(text.split())


def filled(template: str, numbers) -> str:
    return template.format(*(x if isinstance(x, str) else Number(x) for x in numbers()))


@pytest.mark.parametrize(("page", "template", "numbers"), QUOTES, ids=[q[1][:50] for q in QUOTES])
def test_a_page_says_what_the_committed_tables_say(page, template, numbers):
    assert filled(template, numbers) in words((ROOT / page).read_text())


@pytest.mark.parametrize("page", VERDICTS)
def test_every_number_of_a_verdicts_evidence_is_quoted_or_is_one_of_the_settings(page):
    (table,) = (t for t in pages.rows((ROOT / page).read_text()) if t[0][0] == VERDICTS[page])
    known = [filled(template, numbers) for of, template, numbers in QUOTES if of == page]
    for row in table[1:]:
        text = words(row[-1])
        covered = {
            i
            for piece in [*known, *SETTINGS]
            for match in re.finditer(re.escape(piece), text)
            for i in range(*match.span())
        }
        left = "".join("_" if i in covered else character for i, character in enumerate(text))
        assert not re.search(r"\d", left), (row[0], left)


def test_the_mean_beside_each_seeds_accuracy_is_their_mean():
    """Of what no CSV holds: `97.43 % (97.45, 97.46, 97.38)`."""
    text = words((ROOT / TASKS).read_text())
    found = re.findall(r"([\d.]+) % \(((?:[\d.]+, )+[\d.]+)\)", text)
    assert len(found) > 5
    for mean, seeds in found:
        numbers = [float(seed) for seed in seeds.split(", ")]
        assert agrees(mean, sum(numbers) / len(numbers)), (mean, seeds)


def agrees(printed: str, value: float) -> bool:
    """Whether a number is what is printed, to half a unit of its last digit."""
    digits, _, exponent = printed.replace("−", "-").partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return abs(float(printed.replace("−", "-")) - value) <= 0.5000001 * unit


def sections(report: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and rows of each table of results."""
    for part in re.split(r"(?m)^## ", report.read_text())[2:]:
        title, _, text = part.partition("\n")
        yield from ((title, table) for table in pages.rows(text))


def plain(cell: object) -> str:
    """An option's value as a table has it."""
    if isinstance(cell, float):
        return "–" if pd.isna(cell) else f"{cell:.8g}"
    return str(cell)


def numbers(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Column of the CSV and number printed of it, of a row of a report."""
    names = {
        "mean": "mean",
        "half": "half",
        "s.e.": "sem",
        "difference": "difference",
        "d_z": "d_z",
    }
    names |= {"p (t)": "p", "p (Wilcoxon)": "p_wilcoxon", "p (t, Holm)": "p_holm"}
    yield from ((names[key], cell) for key, cell in row.items() if key in names and cell != "–")
    yield from zip(("low", "high"), re.findall(NUMBER, row.get("95 % interval", "")), strict=False)
    count = re.match(r"n=(\d+)", row.get("runs", row.get("pairs", "")))
    yield from [("n", count[1])] if count else []


def unfolded(table: list[list[str]]) -> Iterator[dict[str, str]]:
    """The rows of a table; of one with a column for each condition a row for each of its cells."""
    head, *body = table
    for cells in body:
        row = dict(zip(head, cells, strict=True))
        folded = [key for key in head if " = " in key]
        if not folded:
            yield row
        for key in folded:
            option, value = key.split(" = ")
            rest = {k: v for k, v in row.items() if k not in folded}
            if there := re.fullmatch(rf"({NUMBER}) ± ({NUMBER}) \((n=\d+)\)", row[key]):
                yield rest | {option: value, "mean": there[1], "half": there[2], "runs": there[3]}
            else:
                assert row[key] == "no run"


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.parent.name)
def test_the_tables_of_a_report_are_its_csv_files_rounded(report):
    checked = 0
    for title, table in sections(report):
        metric, _, pairs = title.partition(", two by two")
        found = pd.read_csv(report.with_name("pairs.csv" if pairs else "cells.csv"))
        found = found[found.metric == metric].assign(half=lambda x: (x.high - x.low) / 2)
        if pairs:
            both = found["first"].map(plain) + " − " + found["second"].map(plain)
            found = found.assign(**{"first − second": both})
        printed_rows = list(unfolded(table))
        keys = [key for key in found if key in printed_rows[0] and key not in RESULTS]
        index = {
            tuple(map(plain, values)): i
            for i, values in enumerate(found[keys].itertuples(index=False))
        }
        for row in printed_rows:
            record = found.iloc[index[tuple(row[key] for key in keys)]]
            for column, printed in numbers(row):
                assert agrees(printed, record[column]), (title, row, column)
                checked += 1
        assert len(index) == len(printed_rows)
    assert checked > 5
