"""`python -m isogain.results FOLDER`, and `isogain.results.runs`, the table of runs, where notebooks find it."""

import runpy
from typing import Any


def __getattr__(name: str) -> Any:
    """`runs` of `isogain.analysis.statistics`."""
    if name != "runs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isogain.analysis.statistics import runs

    return runs


if __name__ == "__main__":
    runpy.run_module("isogain.analysis.report", run_name="__main__", alter_sys=True)
