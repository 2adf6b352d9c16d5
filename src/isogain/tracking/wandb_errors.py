"""Options that W&B refuses, a line each before a run begins, and hints for the errors that W&B itself raises."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

# characters that its server accepts; wandb itself checks tags and the project, but only once the run has begun
LONGEST = {"project": 128, "name": 128, "group": 128, "job_type": 64}
LONGEST_TAG = 64
FORBIDDEN = set("/\\#?%:")  # in a project's name
WITHOUT = "WANDB_MODE=offline or logger=csv needs no account and no network"
# the hint of the first pattern that an error matches is shown
HINTS = (
    (r"no space left|disk quota|read-only file", "make room for the run folder, or use logger=csv"),
    (
        r"\btags?\b.*characters|validation error|invalid project name|run id",
        "see logger.* and the variables WANDB_*",
    ),
    (r"api.?key|log ?in|unauthorized|\b401\b|credential", f"`wandb login` stores a key; {WITHOUT}"),
    (
        r"entity|permission|forbidden|\b40[34]\b|not foun\w|project",
        f"is that yours, WANDB_ENTITY and logger.project? {WITHOUT}",
    ),
    (
        r"timed? ?out|network|connect|resolve|dial|unreachable|communicat|proxy|ssl|certificate",
        "without a network use WANDB_MODE=offline, and `python -m isogain.sync FOLDER` later",
    ),
)


def refusals(options: Mapping[str, Any]) -> Iterator[str]:
    """A line for each of the logger's options that is too long, empty, or has a character that W&B refuses."""
    for name, longest in LONGEST.items():
        if len(text := str(options.get(name) or "")) > longest:
            yield f"logger.{name}: has {len(text)} characters, and W&B takes {longest}"
    if bad := sorted(FORBIDDEN & set(str(options.get("project") or ""))):
        yield f"logger.project={options['project']}: W&B takes no {' '.join(bad)} in it"
    yield from _tags("logger.tags", options.get("tags") or [])
    if not options.get("tags"):
        yield from _tags("WANDB_TAGS", filter(None, os.environ.get("WANDB_TAGS", "").split(",")))


def one_line(error: Exception) -> str:
    """The first line of W&B's own error, and the hint that fits it."""
    lines = [line.strip().rstrip(".") for line in str(error).strip().splitlines()]
    lines = [line for line in lines if line and "errors.pydantic.dev" not in line]
    reason = re.sub(
        r"\s*\[type=.*", "", ": ".join(lines[:3] if "validation error" in lines[0] else lines[:1])
    )
    hint = next((hint for pattern, hint in HINTS if re.search(pattern, reason, re.I)), WITHOUT)
    return f"{reason}; {hint}"


def _tags(source: str, tags: Any) -> Iterator[str]:
    for tag in tags:
        if not 1 <= len(tag) <= LONGEST_TAG:
            yield f"{source}: a tag has 1 to {LONGEST_TAG} characters, and one has {len(tag)}"
