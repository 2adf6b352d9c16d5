"""A study as one HTML page that needs nothing else: tables, figures inside, everything escaped."""

import base64
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from isogain.analysis.report.text import parts, printable
from isogain.analysis.statistics.aggregate import grouped, label
from isogain.analysis.statistics.study import Study

DEPTH_GAIN = {"model.depth", "init.gain"}
LETTERS = 60  # of a file's name, which what runs are called may be longer than
LARGE = 1500  # kB: of figures that many curves make too large as SVG, a PNG is taken


class Figures(NamedTuple):
    """Title -> matplotlib Figure, and title -> why there is none."""

    drawn: dict[str, Any]
    left_out: dict[str, str]


def draw(study: Study) -> Figures:
    """Every figure that the runs have the numbers for."""
    drawn, left_out = {}, {}
    for title, figure in figures(study):
        try:
            drawn[title] = figure()
        except (KeyError, ValueError) as error:
            left_out[title] = printable(error.args[0])
    return Figures(drawn, left_out)


def html(study: Study, shown: Figures) -> str:
    """The page. It has no script, and its policy lets a browser fetch nothing."""
    environment = Environment(
        loader=PackageLoader("isogain.analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
    )
    tables = [
        (printable(part.title), list(map(printable, part.lines)), _table(part.table))
        for part in parts(study)
    ]
    return environment.get_template("page.html").render(
        heading=printable(", ".join(a.metric for a in study.answers) or "no result yet"),
        parts=tables,
        figures={title: inlined(figure) for title, figure in shown.drawn.items()},
        left_out=shown.left_out,
    )


def figures(study: Study) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every figure that the columns of the table allow; drawing one may still fail, where nothing was measured."""
    from isogain.analysis.plots import (
        bands,
        depth_gain,
        fisher,
        gradients,
        heatmap,
        learning,
        margin,
        means,
    )

    table, by, against = study.counted, tuple(study.by), tuple(study.against)
    for answer in study.answers:
        yield answer.metric, partial(means.means, table, by, against, answer.metric)
    yield "Learning curves", lambda: learning.learning(table, by + against)
    metric = study.answers[0].metric if study.answers else "test/acc"
    if DEPTH_GAIN <= _varied(table):
        methods = [key for key in by if key not in DEPTH_GAIN]
        for levels, runs in grouped(table, methods):
            title = (
                f"Depth and gain {label(methods, levels)}".strip() if methods else "Depth and gain"
            )
            yield printable(title), partial(depth_gain.depth_gain, runs, metric=metric)
    if "reg.margin" in _varied(table):
        curves = tuple(key for key in by if key != "reg.margin")
        yield "Margin", lambda: margin.margin(table, curves, metric)
    for title, figure in {
        "Singular values of the Jacobian": bands.bands,
        "The same as a heat map": heatmap.heatmap,
        "Gradients by layer or time step": gradients.gradients,
    }.items():
        yield title, partial(_pooled, figure, study)
    if any(str(name).startswith("fisher_") for name in table):
        yield "Curvature", lambda: fisher.fisher(table, by)


def _pooled(figure: Callable[..., Any], study: Study) -> Any:
    """A panel a method, or one under each condition where a method's runs differ in size."""
    try:
        return figure(study.counted, tuple(study.by))
    except ValueError:
        if not study.against:
            raise
        return figure(study.counted, (*study.by, *study.against))


def inlined(figure: Any) -> str:
    """The figure as a data: address. An image cannot run what might stand in it."""
    from isogain.analysis.plots.style import styled_context

    file = io.BytesIO()
    with styled_context():
        figure.savefig(file, format="svg", metadata={"Date": None})
        if large := len(file.getvalue()) > 1000 * LARGE:
            figure.savefig(file := io.BytesIO(), format="png")
    media = "image/png" if large else "image/svg+xml"
    return f"data:{media};base64,{base64.b64encode(file.getvalue()).decode()}"


def write_figures(shown: Figures, folder: Path) -> list[Path]:
    """PNG and SVG of each."""
    from isogain.analysis.plots.style import save

    written = []
    for title, figure in shown.drawn.items():
        name = "".join(c if c.isalnum() else "_" for c in title.lower())[:LETTERS]
        for kind in ("png", "svg"):
            written.append(folder / f"{name}.{kind}")
            save(figure, written[-1])
    return written


def _varied(table: pd.DataFrame) -> set[str]:
    options = [name for name in table.attrs.get("options", []) if name in table]
    return {name for name in options if table[name].nunique() > 1}


def _table(table: pd.DataFrame) -> Markup:
    """pandas escapes what is in it."""
    if not len(table):
        return Markup("")
    plain = table.rename(columns=printable).map(printable)
    return Markup(plain.to_html(index=False, escape=True, border=0))
