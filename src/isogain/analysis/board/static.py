"""The page as one file that holds all answers and needs no server."""

import json
from datetime import datetime
from typing import Any

from isogain.analysis.board.index import Index
from isogain.analysis.board.server import panel_data
from isogain.analysis.board.template import page
from isogain.record import panels

DETAILS = 8_000_000  # bytes of the details of single runs; the page marks the runs whose details are left out


def snapshot(index: Index) -> str:
    """The page with the runs as they are now."""
    table = index.answer("runs")
    names = [panel.name for panel in panels.PANELS]
    answers = {
        "runs": {"": table | {"metrics": names}},
        "profiles": {"": index.answer("profiles")},
        "curves": {name: index.answer("curves", name) for name in names},
        "run": _details(index, [str(run["id"]) for run in table["runs"]]),
    }
    made = datetime.now().strftime("%Y-%m-%d %H:%M")
    return page({"live": False, "panels": panel_data(), "made": made, "answers": answers})


def _details(index: Index, numbers: list[str]) -> dict[str, Any]:
    """The details of the first runs, as many as fit into DETAILS bytes."""
    details, size = {}, 0
    for number in numbers:
        detail = index.answer("run", number)
        size += len(json.dumps(detail))
        if size > DETAILS:
            break
        details[number] = detail
    return details
