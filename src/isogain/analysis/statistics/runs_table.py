"""Every run below a folder as one tidy table: a row a run, a column an option or a number of its summary."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from isogain.record.config_yaml import GROUPS, Foreign
from isogain.record.folder_walk import find
from isogain.record.run_contents import Run, read_run, unstarted_run

CORE = (
    "seed",
    "init.gain",
    "model.hidden",
    "model.depth",
    "model.activation",
    "reg.strength",
    "reg.margin",
    "optim.lr",
)  # there whether or not they differ
CIRCUMSTANCES = (  # where a run lies and what is looked at, not what is trained
    "out",
    "resume",
    "logger",
    "callbacks",
    "cluster",
    "trainer.log_every_n_steps",
)


def runs(*folders: str | Path, keep: Collection[str] = ()) -> pd.DataFrame:
    """One row per run at or below `folders`: `folder`, `status`, `error`, the groups' choices, options, summary.

    Options are there that differ anywhere, those of CORE and those to `keep`. Runs that a sweep.json lists and that
    are not there are rows of status `pending`; a broken run is a row of status `broken`, `error` says why.
    `attrs["skipped"]`: folder -> why it is no row. `attrs["overridden"]`: the columns that command lines set, in order.
    `attrs["options"]`: all columns that are options or choices. Raises FileNotFoundError or NotADirectoryError.
    """
    listing = find([Path(folder) for folder in folders])
    read_runs, skipped, ordered = {}, dict(listing.skipped), listing.ordered
    for folder in listing.folders:
        try:
            read_runs[folder] = read_run(folder, ordered.get(folder))
        except Foreign as error:
            skipped[str(folder)] = str(error)
    for folder, overrides in ordered.items():
        if folder not in read_runs and str(folder) not in skipped:
            read_runs[folder] = unstarted_run(overrides)
    options = _options(read_runs.values(), keep)
    table = pd.DataFrame(_rows(read_runs, options), columns=_columns(read_runs.values(), options))
    overridden = dict.fromkeys(key for run in read_runs.values() for key in run.overridden)
    table.attrs = {
        "skipped": skipped,
        "overridden": [key for key in overridden if key in options],
        "options": options,
    }
    return table


def _rows(runs_by_folder: dict[Path, Run], options: list[str]) -> list[dict[str, Any]]:
    shared = _shared(runs_by_folder)
    rows = []
    for folder, run in runs_by_folder.items():
        known = ({} if run.whole else shared.get(folder.parent, {})) | run.choices | run.config
        columns = {"folder": str(folder), "status": str(run.status), "error": run.error}
        rows.append(run.summary | {k: known[k] for k in options if k in known} | columns)
    return rows


def _columns(read_runs: Collection[Run], options: list[str]) -> list[str]:
    numbers = dict.fromkeys(key for run in read_runs for key in run.summary)
    return list(dict.fromkeys(["folder", "status", "error", *options, *numbers]))


def _options(read_runs: Collection[Run], keep: Collection[str]) -> list[str]:
    """Groups and CORE first, then the options that differ, in the config's order."""
    values: dict[str, set[Any]] = {}
    for run in read_runs:
        for key, value in (run.choices | run.config).items():
            values.setdefault(key, set()).add(value)
    differ = [key for key, v in values.items() if len(v) > 1 and not key.startswith(CIRCUMSTANCES)]
    return [k for k in dict.fromkeys([*GROUPS, *CORE, *differ, *keep]) if k in values]


def _shared(runs_by_folder: dict[Path, Run]) -> dict[Path, dict[str, Any]]:
    """Of each folder of runs what all that have a config agree on: it holds for those that have none, too."""
    shared: dict[Path, dict[str, Any]] = {}
    for folder, run in runs_by_folder.items():
        if run.whole:
            known = run.choices | run.config
            before = shared.get(folder.parent, known)
            shared[folder.parent] = {k: v for k, v in before.items() if known.get(k, ...) == v}
    return shared
