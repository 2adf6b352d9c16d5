"""What may be printed of a text that stands in a file: nothing that a terminal or a spreadsheet obeys."""

import contextlib
import sys
from typing import Any

LONGEST = 500  # characters of a reason
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
)  # what a spreadsheet takes a cell for that begins so


def printable(value: Any) -> str:
    """The value as text on one line; what is no printable character, an escape or half of one, is �."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def first_line(value: Any) -> str:
    """The same of a text's first line, cut to LONGEST."""
    lines = str(value).strip().splitlines() or [""]
    return printable(lines[0] if len(lines[0]) <= LONGEST else f"{lines[0][:LONGEST]} …")


def defused(value: Any) -> Any:
    """A cell of a CSV file: text that a spreadsheet would compute gets an apostrophe in front; numbers stay."""
    if not isinstance(value, str) or not value.startswith(FORMULA) or _is_number(value):
        return _encodable(value)
    return _encodable(f"'{value}")


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text.strip() == text


def tolerate_() -> None:
    """Let standard output and error write ? for what their encoding lacks, on an ASCII terminal say."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # closed, or somebody's own
            stream.reconfigure(errors="replace")
