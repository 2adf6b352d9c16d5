"""From folders of runs to one table and to conclusions: `python -m isogain.results FOLDER`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogain.analysis.statistics.runs_table import runs as runs


def __getattr__(name: str) -> Any:
    """`runs`, once it is asked for: what reads folders without a table, as the board does, needs no pandas."""
    if name != "runs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isogain.analysis.statistics.runs_table import runs

    return runs
