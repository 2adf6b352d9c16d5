"""What becomes of the folder of a run that failed."""

import contextlib
import traceback
from enum import Enum, auto

from isogain.config.errors import AnotherRun, UserError
from isogain.record.rank import rank
from isogain.record.run_folder import RunFolder


class Owner(Enum):
    """Whose the folder is."""

    THIS_RUN = auto()  # claimed by it, or kept for it by its sweep: the failure is on record there
    ANOTHER_RUN = auto()  # which holds it, or is at work in it: it stays as it is
    NOBODY = auto()  # the run never began, and leaves nothing


def owner(folder: RunFolder, error: Exception, in_a_sweep: bool, resume: bool) -> Owner:
    """Whose `folder` is, after `error`."""
    if folder.claimed:
        return Owner.THIS_RUN
    holds_another = not resume and (folder.path / "config.yaml").exists()
    if isinstance(error, AnotherRun) or folder.attempts.at_work() or holds_another:
        return Owner.ANOTHER_RUN
    return Owner.THIS_RUN if in_a_sweep or rank() > 0 else Owner.NOBODY


def record_failure(folder: RunFolder, error: Exception, in_a_sweep: bool, resume: bool) -> None:
    """Write into the folder of this run what failed; of another's or nobody's, take back what was made of it."""
    if owner(folder, error, in_a_sweep, resume) is not Owner.THIS_RUN:
        folder.discard()
        return
    with contextlib.suppress(OSError):  # a full disk, say: the first error is the one to show
        of_user = isinstance(error, UserError)
        folder.note(f"error: {error}\n" if of_user else traceback.format_exc())
        if rank() == 0 and not (folder.path / "summary.json").exists():  # run() wrote a fuller one
            folder.end({"status": "failed", "error": f"{type(error).__name__}: {error}"})
