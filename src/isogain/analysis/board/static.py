"""The page with all answers in it: one file to mail, which needs no server."""

import json
from datetime import datetime
from typing import Any

from isogain.analysis.board.index import Index
from isogain.analysis.board.server import panel_data
from isogain.analysis.board.template import page
from isogain.record import panels

DETAILS = 8_000_000  # bytes of single runs' details; the page says which runs came after that


def snapshot(index: Index) -> str:
    """The page as of now."""
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
    """As many runs' details as DETAILS allows, in their order."""
    found, size = {}, 0
    for number in numbers:
        detail = index.answer("run", number)
        size += len(json.dumps(detail))
        if size > DETAILS:
            break
        found[number] = detail
    return found
