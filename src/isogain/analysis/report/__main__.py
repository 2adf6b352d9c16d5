"""From run folders to tables with uncertainties: `python -m isogain.results FOLDER --by reg --against init.gain`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isogain.config import arguments, streams

if TYPE_CHECKING:
    import pandas as pd

    from isogain.analysis.statistics.study import Study

PRINTED_ROWS = 40  # of what may be long
EXAMPLES = (
    """
Methods (--by) are compared two by two, under each condition (--against), on the same seeds. Without them: the first
group that varies (reg before others) against all other options that do. A cell is a mean over its seeds; with --tune
it has the runs of one value of these options, that of the best mean val/... (or --select METRIC, never the test set's).

  python -m isogain.results multirun/2025-01-31_12-00-00 --out report
  python -m isogain.results sweep --by reg --against init.gain --metric test/acc gap/final
  python -m isogain.results sweep --by reg model.hidden --html page.html --latex table.tex
  python -m isogain.results sweep --by reg --against model.depth --tune optim.lr --to none

"""
    + arguments.EXIT
)


def main(argv: Sequence[str] | None = None) -> int:
    """Read every run below FOLDER; print means over seeds, comparisons and what became of each run; write them with
    --out.
    """
    options = parser().parse_args(argv)
    return arguments.exit_code(lambda: _report(options))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command_line = arguments.parser("results", main, EXAMPLES)
    arguments.add_folder(command_line, several=True)
    command_line.add_argument("--by", nargs="+", metavar="KEY", help="methods: groups or options")
    command_line.add_argument(
        "--against", nargs="+", metavar="KEY", help="conditions to compare under"
    )
    command_line.add_argument("--metric", nargs="+", default=[], help="columns of summary.json")
    command_line.add_argument(
        "--to", metavar="METHOD", help="compare with this one only: none, say"
    )
    command_line.add_argument(
        "--select", metavar="METRIC", help="what chooses the best (validation's)"
    )
    command_line.add_argument(
        "--tune", nargs="+", default=[], metavar="KEY", help="options of which a cell has its best"
    )
    command_line.add_argument(
        "--out", type=Path, metavar="DIR", help="a folder for everything below"
    )
    for kind, what in {
        "markdown": "what is printed",
        "csv": "the table of runs",
        "latex": "the tables, for booktabs",
        "html": "one page with the figures in it",
    }.items():
        command_line.add_argument(f"--{kind}", type=Path, metavar="FILE", help=what)
    return command_line


def _report(options: argparse.Namespace) -> None:
    from isogain.analysis.report.text import markdown
    from isogain.analysis.statistics.study import study

    table = _table(options)
    by, against = _groups(table, options)
    results = study(table, by, against, options.metric, options.select, options.tune, options.to)
    written = _write(results, options)  # first: who reads the rest may stop reading
    print(markdown(results, PRINTED_ROWS))
    for path in written:
        print(path)


def _table(options: argparse.Namespace) -> "pd.DataFrame":
    """A row a run, with the columns that the options name; raises ValueError where no folder holds a run."""
    from isogain.analysis.statistics.runs_table import runs

    named = [key for keys in (options.by, options.against, options.tune) for key in keys or []]
    table = runs(*options.folders, keep=named)
    if not len(table):
        skipped = table.attrs["skipped"]
        reason = f" ({len(skipped)} not read: {next(iter(skipped.items()))})" if skipped else ""
        raise ValueError(f"{', '.join(map(str, options.folders))}: no run folder in it{reason}")
    return table


def _groups(table: "pd.DataFrame", options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The methods to compare and the conditions to compare them under: those given, else those that vary."""
    from isogain.analysis.statistics.aggregate import methods

    by, against = ([k for k in keys if k not in options.tune] for keys in methods(table))
    if options.by or options.against:
        against = options.against or []
        by = options.by or [key for key in by if key not in against]
    return by, against


def _write(results: "Study", options: argparse.Namespace) -> list[Path]:
    from isogain.analysis.report import html, text

    out = options.out
    files = {kind: getattr(options, kind) for kind in ("markdown", "csv", "latex", "html")}
    if out:
        names = {"markdown": "report.md", "latex": "report.tex", "html": "report.html"}
        files |= {kind: files[kind] or out / name for kind, name in names.items()}
    shown = html.draw(results) if files["html"] else None
    makers = {
        "markdown": lambda: text.markdown(results),
        "csv": lambda: text.csv(results.table),
        "latex": lambda: text.latex(results),
        "html": lambda: html.html(results, shown),
    }
    wanted = {kind: path for kind, path in files.items() if path}
    for kind, path in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(makers[kind](), encoding="utf-8")
    more = (
        [*text.write_csv(results, out), *html.write_figures(shown, out / "figures")] if out else []
    )
    return [*wanted.values(), *more]


if __name__ == "__main__":
    sys.exit(streams.exit_code(main))
