"""Figures from run folders: `python -m isogain.plots FOLDER ... --figure learning --by reg --out figure.png`."""

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from isogain.config import arguments, streams
from isogain.config.terminal import printable

FIGURES = {
    "training": ("bands", "the Jacobian's singular values over training, as quantile bands"),
    "heatmap": ("heatmap", "the same as a heat map"),
    "start": ("start", "at step 0: what was measured and the density that theory predicts"),
    "learning": ("learning", "learning curves with 95 % intervals over seeds"),
    "means": ("means", "a metric by method and condition, with intervals"),
    "gradients": ("gradients", "the signal's gradient at every layer or time step"),
    "weight_gradients": ("weight_gradients", "the kernels' gradients, a curve a layer or gate"),
    "grid": ("depth_gain", "depth × gain: the metric at the end, and the steps to a value of it"),
    "fisher": ("fisher", "the Fisher's largest eigenvalue against the Jacobian's σ²_max"),
    "margin": ("margin", "a metric against reg.margin"),
}  # name -> module, whose function of the same name draws the figure, and what it shows
WIDTH = max(map(len, FIGURES))
EXAMPLES = "figures:\n" + "\n".join(
    f"  {name:<{WIDTH}}  {description}" for name, (_, description) in FIGURES.items()
)
EXAMPLES += (
    """

  python -m isogain.plots sweep --figure heatmap --by reg --out heatmap.png

"""
    + arguments.EXIT
)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw one figure from all runs below FOLDER; --by pools the runs that agree in its keys, otherwise each run is
    drawn alone.
    """
    options = parser().parse_args(argv)
    return arguments.exit_code(lambda: draw(options))


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    command_line = arguments.parser("plots", main, EXAMPLES)
    arguments.add_folder(command_line, several=True)
    add = command_line.add_argument
    name = {"choices": FIGURES, "default": "training", "metavar": "NAME"}
    add("--figure", **name, help="one of those below; training by default")
    out = {"type": Path, "default": Path("figure.png"), "metavar": "FILE"}
    add("--out", **out, help="png, svg or pdf; figure.png by default")
    add("--by", nargs="+", metavar="KEY", help="a panel or curve a level of these")
    add("--against", nargs="+", metavar="KEY", help="means: to the right")
    add("--metric", metavar="METRIC", help="a column of summary.json; learning: of metrics.csv")
    add("--rows", metavar="KEY", help="grid: upwards; model.depth by default")
    add("--columns", metavar="KEY", help="grid: to the right; init.gain by default")
    add("--curve", metavar="METRIC", help="grid: of metrics.csv; train/acc by default")
    add("--reach", type=float, metavar="VALUE", help="grid: the value of it to wait for")
    return command_line


def draw(options: argparse.Namespace) -> None:
    """Write the figure to options.out.

    Raises ValueError where the folders hold no run or an option does not belong to the figure, and what reading and
    drawing raise.
    """
    from isogain.analysis.plots.style import save
    from isogain.analysis.statistics.runs_table import runs

    figure = figure_function(options.figure)
    names = ("by", "against", "metric", "rows", "columns", "curve", "reach")
    given = {name: v for name in names if (v := getattr(options, name)) is not None}
    known = inspect.signature(figure).parameters
    if foreign := [name for name in given if name not in known]:
        raise ValueError(f"--{foreign[0]}: not of --figure {options.figure}")
    keys = [k for name in ("by", "against") for k in given.get(name, ())]
    keys += [given[name] for name in ("rows", "columns") if name in given]
    table = runs(*options.folders, keep=keys)
    for folder, reason in table.attrs["skipped"].items():
        print(printable(f"not read: {folder}: {reason}"), file=sys.stderr)
    if not len(table):
        raise ValueError(f"{', '.join(map(str, options.folders))}: no run folder in it")
    save(figure(table, **given), options.out)
    print(printable(options.out))


def figure_function(name: str) -> Callable[..., Any]:
    """The function that draws the figure of this name from the table of `runs_table.runs`."""
    module, _ = FIGURES[name]
    return getattr(import_module(f"isogain.analysis.plots.{module}"), module)


if __name__ == "__main__":
    sys.exit(streams.exit_code(main))
