"""`python -m isogain.sync FOLDER`: upload to Weights & Biases the fragments that offline runs left, once each."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from isogain.analysis.status import survey
from isogain.config import arguments, streams
from isogain.config.terminal import printable, tolerate_
from isogain.record.bounded import Damaged, opened
from isogain.record.run_status import Status
from isogain.tracking import offline

PATIENCE = 600  # seconds for one fragment
ANSWER = 15  # seconds for the server's first answer
EPILOG = """
exit code: 0 everything is uploaded, 1 something was left (the line says why), 2 there is no run in the
folder, 3 W&B cannot be reached or knows no account: nothing was sent, and nothing is marked.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Upload every offline W&B fragment of every run below FOLDER, in the order of time, one by one.

    W&B's own mark, <fragment>.wandb.synced, tells what is uploaded: to repeat it is safe. What cannot be read is
    skipped with a line; the newest fragment of a run that still goes on is left for later.
    """
    options = parser().parse_args(argv)
    tolerate_()
    if not options.folder.is_dir():
        reason = "not a folder" if options.folder.exists() else "no such folder"
        return arguments.report_error(f"{options.folder}: {reason}", 2)
    sweeps = survey.find(options.folder)
    runs = [(sweep.path / run.name, run) for sweep in sweeps for run in sweep.runs]
    if not runs:
        return arguments.report_error(f"{options.folder}: no run in it", 2)
    survey.judge(sweeps, options.lost_after)
    left, waiting = [], []
    for folder, run in runs:
        unsent = [f for f in offline.of_run(folder, "offline-run-*") if not synced(f, left)]
        if unsent and run.status.goes_on and run.status is not Status.PENDING:
            left.append(
                f"{unsent.pop()}: its run is {run.state} ({run.reason or run.where}); later"
            )
        waiting.append(unsent)
    if any(waiting) and (reason := unreachable()):
        return arguments.report_error(reason, 3)
    left += upload(waiting)
    print("\n".join(f"left: {printable(line)}" for line in left), end="\n" if left else "")
    return 1 if left else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command_line = arguments.parser("sync", main, EPILOG)
    arguments.add_folder(command_line)
    command_line.add_argument(
        "--lost-after",
        type=float,
        metavar="MINUTES",
        help="take a run of which nothing can be known for ended when it has been silent for so long",
    )
    return command_line


def synced(fragment: Path, left: list[str]) -> bool:
    """Whether W&B has marked a fragment as uploaded.

    One that has grown since gets a line in `left`, for it cannot be sent twice.
    """
    marks = list(fragment.glob("*.wandb.synced"))
    for mark in marks:
        log = mark.with_suffix("")
        if log.exists() and log.stat().st_mtime > mark.stat().st_mtime + 1:
            left.append(f"{fragment}: was uploaded while its run went on, and has grown since")
    return bool(marks)


def unreachable() -> str | None:
    """The reason why nothing can be uploaded now, with a remedy; None where W&B answers and knows the account."""
    import wandb

    try:
        wandb.Api(timeout=ANSWER)
    except wandb.errors.UsageError:
        return "W&B knows no account here: run `wandb login`, or set WANDB_API_KEY"
    except wandb.errors.Error as error:
        reason = scrubbed(str(error).strip().splitlines()[0].rstrip("."))
        return (
            f"{reason}; is there a network (WANDB_BASE_URL), and is the key (`wandb login`) right?"
        )
    return None


def upload(waiting: Sequence[Sequence[Path]]) -> list[str]:
    """Upload the fragments of each run, oldest first; returns a line for each that was not uploaded.

    After a fragment that W&B could read but not send, later ones of the same run wait, so that their order is kept;
    where W&B does not answer any more, all of them wait.
    """
    total, left, number, began = sum(map(len, waiting)), [], 0, time.monotonic()
    for unsent in waiting:
        for at, fragment in enumerate(unsent):
            number += 1
            reason, readable = _sent(fragment)
            if reason is None:
                took = f"{time.monotonic() - began:.0f} s"
                print(f"{number} of {total}, {took}: {printable(fragment)}", flush=True)
                continue
            left.append(f"{fragment}: {reason}")
            if readable and (gone := unreachable()):
                return [*left, f"{total - number} more fragments: {gone}"]
            if readable:
                left += [f"{later}: waits for the one before" for later in unsent[at + 1 :]]
                number += len(unsent) - at - 1
                break
    return left


def _sent(fragment: Path) -> tuple[str | None, bool]:
    """The reason why a fragment was not uploaded, None where it was; and whether it could be read."""
    if (reason := unreadable(fragment)) is not None:
        return reason, False
    command = [sys.executable, "-m", "wandb", "sync", "--yes", str(fragment)]
    # W&B's own logs go to the run's wandb/, else to the current folder
    environment = {**os.environ, "WANDB_SILENT": "false", "WANDB_DIR": str(fragment.parent.parent)}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"W&B took more than {PATIENCE} s", True
    if any(fragment.glob("*.wandb.synced")):
        return None, True
    messages = list(_error_messages(done.stdout + done.stderr))
    is_broken = any("Failed to read" in line for line in messages) or not messages
    return (messages or ["holds no .wandb file"])[-1], not is_broken


def unreadable(fragment: Path) -> str | None:
    """The reason not to let W&B read a fragment, None for a sound one: W&B would wait for the other end of a FIFO."""
    for log in fragment.glob("*.wandb"):
        try:
            with opened(log, within=fragment.parent.parent):
                pass
        except (FileNotFoundError, Damaged) as error:
            return str(error)
    return None


def _error_messages(output: str) -> Iterator[str]:
    """The errors and warnings in the output of W&B's command."""
    for line in output.splitlines():
        text = line.removeprefix("wandb: ").strip()
        if text.startswith(("ERROR", "Error", "WARNING")) and "Find detailed" not in text:
            yield scrubbed(text.split(maxsplit=1)[-1])


def scrubbed(text: str) -> str:
    """The text without the key that W&B's environment holds."""
    key = os.environ.get("WANDB_API_KEY")
    return text.replace(key, "***") if key else text


if __name__ == "__main__":
    sys.exit(streams.exit_code(main))
