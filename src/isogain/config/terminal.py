"""Texts from files made safe to print: a terminal obeys no escape in them, and a spreadsheet computes no formula."""

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
)  # a spreadsheet computes a cell that begins with one of these


def printable(value: Any) -> str:
    """The value as text on one line; what is no printable character, an escape or half of one, is �."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def first_line(value: Any) -> str:
    """The first line of a text, printable, cut to LONGEST characters."""
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
    """Make standard output and error write ? for characters that their encoding lacks, as on an ASCII terminal."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError, ValueError
        ):  # closed, or an object of the caller's
            stream.reconfigure(errors="replace")
