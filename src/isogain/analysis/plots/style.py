"""One style for every figure: print size, and curves that differ in line style and marker as well as in colour."""

import math
import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from isogain.config.terminal import printable

WIDTH = 7.0  # inches: the text of a page, so that a point of type is a point in print
LETTER = 0.066  # inches, of 8 pt text
ROW = 0.17  # inches, of a legend
HANDLE = 8  # letters that a line with its marker and the gap take
COLOURS = (  # Okabe and Ito 2008, without yellow, which white paper swallows
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
LINE_STYLES = ("-", "--", "-.", ":")
MOST = 24  # panels of a figure
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SEQUENTIAL = "cividis"  # made for colour-blind readers, and monotone in grey
RC = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "figure.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "lines.markersize": 4.5,
    "svg.hashsalt": "isogain",  # the same figure is the same file
    "text.parse_math": True,
}


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose figures have this style."""

    @wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(RC):
            return draw(*args, **kwargs)

    return wrapper


def page(panels: int = 1, height: float = 2.7, **shared: Any) -> tuple[Any, list]:
    """A figure as wide as a page and its panels, at most three in a row; shared as by Figure.subplots.

    Raises ValueError for more panels than anyone can read.
    """
    from matplotlib.figure import Figure

    if panels > MOST:
        raise ValueError(
            f"{panels} panels do not fit: say what to pool runs by (--by), or name fewer"
        )
    wide = {1: 1, 2: 2, 4: 2}.get(panels, 3)
    rows = math.ceil(panels / wide)
    size = (WIDTH if wide > 1 else 4.6, height * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained", dpi=200)
    axes = list(figure.subplots(rows, wide, squeeze=False, **shared).flat)
    for unused in axes[panels:]:
        unused.set_visible(False)
    return figure, axes[:panels]


def title(axes: Any, label: str) -> None:
    """Set a panel's title, wrapped to its width and cut after three lines."""
    columns = axes.get_subplotspec().get_gridspec().ncols
    lines = textwrap.wrap(text(label), {1: 60, 2: 42}.get(columns, 27), break_on_hyphens=False)
    axes.set_title("\n".join(lines[:3]) + (" …" if len(lines) > 3 else ""))


def x_label(panels: list, label: str) -> None:
    """Set the x label of all panels, under each that has none below it."""
    wide = panels[0].get_subplotspec().get_gridspec().ncols
    for axes in panels[-wide:]:
        axes.set_xlabel(label)


def legend(figure: Any, title: str | None = None) -> None:
    """Add a legend of all labelled curves below the panels, in as many columns as fit; the page grows by its rows."""
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes)
    handles = {name: handle for labelled in pairs for handle, name in labelled}
    lines = [name.splitlines() for name in handles]
    longest = max((len(row) for rows in lines for row in rows), default=0)
    page = figure.get_figwidth() / LETTER
    columns = max(1, min(4, int(page / (longest + HANDLE))))
    rows = math.ceil(len(lines) / columns) * max(map(len, lines), default=0)
    figure.set_figheight(figure.get_figheight() + ROW * max(rows - 2, 0))
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        title=title and wrapped(title, int(page)),
    )


def is_accuracy(metric: str) -> bool:
    """Whether a metric is an accuracy, whose values lie in [0, 1]."""
    return metric.rpartition("/")[2].startswith("acc")


def within_range(axes: Any, metric: str) -> None:
    """Limit the y axis of an accuracy to [0, 1], with a little room: intervals may reach further."""
    if is_accuracy(metric):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.02), min(high, 1.02))


def line(i: int) -> dict[str, Any]:
    """Colour, line style and marker of the i-th curve: 28 that differ in colour or style."""
    style = LINE_STYLES[(i % len(COLOURS) + i // len(COLOURS)) % len(LINE_STYLES)]
    return {
        "color": COLOURS[i % len(COLOURS)],
        "ls": style,
        "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)],
    }


def text(value: object) -> str:
    """A value as literal text: a dollar sign starts no formula, and nothing breaks the line."""
    return printable(value).replace("$", r"\$")


def wrapped(label: str, width: int = 34) -> str:
    """A label broken into lines of at most `width` letters."""
    return textwrap.fill(label, width, break_on_hyphens=False)


def save(figure: Any, path: Path) -> None:
    """Write a PNG, SVG or PDF by the path's suffix, without a date; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with styled_context():
        figure.savefig(path, metadata=dated.get(path.suffix.lower()))


def styled_context() -> Any:
    """A context with the style, for what is drawn only on saving."""
    import matplotlib

    return matplotlib.rc_context(RC)
