"""`python -m isogain.status multirun/STAMP`: what has become of every run, and what to run again."""

import argparse
import json
import sys
from collections.abc import Sequence

from isogain.analysis.status import console, rerun, survey
from isogain.config import arguments, streams
from isogain.config.terminal import tolerate_

NONE = 2  # exit code where there is no run
EXIT_CODES = """
exit code: 0 nothing is missing and nothing goes on any more (what diverged is an outcome), 1 something
failed, was lost or never started, 2 there is no run in the folder, 3 nothing is missing, but some still run or wait.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """List what has become of every run below FOLDER, and print the command that runs again exactly what is missing.

    It reads files, asks this machine's processes and (once, with squeue) SLURM; nothing is changed.
    """
    options = parser().parse_args(argv)
    tolerate_()
    if not options.folder.is_dir():
        return arguments.report_error(f"{options.folder}: no such folder", NONE)
    sweeps = survey.find(options.folder)
    if not any(sweep.runs for sweep in sweeps):
        why = "no run in it; a run folder has a config.yaml, a sweep's a sweep.json"
        return arguments.report_error(f"{options.folder}: {why}", NONE)
    survey.judge(sweeps, options.lost_after)
    lines = [rerun.commands(sweep, options.diverged) for sweep in sweeps]
    pairs = list(zip(sweeps, lines, strict=True))
    if options.json:
        print(json.dumps([console.as_json(*pair) for pair in pairs], indent=1))
    else:
        print("\n\n".join(console.report(*pair, every=options.all) for pair in pairs))
    statuses = {run.status for sweep in sweeps for run in sweep.runs}
    if any(status.is_missing for status in statuses):
        return 1
    return 3 if any(status.goes_on for status in statuses) else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command_line = arguments.parser("status", main, EXIT_CODES)
    arguments.add_folder(command_line)
    command_line.add_argument("--all", action="store_true", help="list what is done, too")
    command_line.add_argument(
        "--diverged", action="store_true", help="run again what diverged, too"
    )
    command_line.add_argument(
        "--json", action="store_true", help="the same for machines: a list of sweeps"
    )
    command_line.add_argument(
        "--lost-after",
        type=float,
        metavar="MINUTES",
        help="take a run of which nothing can be known for lost when it has been silent for so long",
    )
    return command_line


if __name__ == "__main__":
    sys.exit(streams.exit_code(main, cut=1))
