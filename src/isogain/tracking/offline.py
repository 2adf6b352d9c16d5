"""The files that W&B wrote into a run folder, a fragment an attempt, read back by W&B's own reader."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
STEP = "trainer/global_step"
TIMEOUT = subprocess.TimeoutExpired
PATIENCE = 120  # seconds for reading one fragment


def of_run(folder: Path, kind: str = "*run-*") -> list[Path]:
    """The fragments in a run folder, oldest first: their names begin with the time."""
    paths = (folder / "wandb").glob(kind)
    return sorted((p for p in paths if p.is_dir()), key=lambda p: p.name.split("run-")[-1])


def logged(folder: Path) -> dict[int, set[str]]:
    """Step -> the names that the attempts at a run logged at that step, as far as they are on the disk."""
    seen: dict[int, set[str]] = {}
    for fragment in of_run(folder):
        for row in _history(fragment):
            names = {name.partition("._type")[0] for name in row if not name.startswith("_")}
            if isinstance(step := row.get(STEP), int | float):
                seen.setdefault(int(step), set()).update(names - {STEP})
    return seen


def _history(fragment: Path) -> list[dict[str, Any]]:
    """The rows of a fragment; none, with a warning, where it cannot be read."""
    wandb = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(fragment)]
    try:
        read = subprocess.run(wandb, capture_output=True, text=True, timeout=PATIENCE)
        lines = [json.loads(line) for line in read.stdout.splitlines()]
        rows = [line["history"]["item"] for line in lines if line.get("type") == "history"]
        rows = [row for row in rows if isinstance(row, dict)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, TIMEOUT) as error:
        log.warning("%s cannot be read (%s): what it holds is logged again", fragment, error)
        return []
    if not lines:
        log.warning("%s is empty: it was killed before it held anything", fragment)
    return rows
