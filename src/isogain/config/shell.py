"""Commands as a user can paste them: quoted for Hydra's grammar, and for the shell around it."""

import re
import shlex
from pathlib import Path
from typing import Literal

PLAIN = re.compile(r"[A-Za-z_/.][\w/.+-]*|[1-9]\d*|0", re.ASCII)
# Hydra reads these, in any case of letters, as values that are not text
VALUES = {"null", "true", "false", "inf", "nan"}


def quoted(text: str, quote: Literal["single", "double"] = "single") -> str:
    """A string, in quotes where Hydra's grammar would read it as something else."""
    if PLAIN.fullmatch(text) and text.lower() not in VALUES:
        return text
    from hydra.core.override_parser.types import Quote, QuotedString  # seldom needed, and slow

    return QuotedString(text, Quote[quote]).with_quotes()


def override(key: str, value: str | Path) -> str:
    """`key=value` as one word of a shell, which Hydra reads back as that text."""
    return word(f"{key}={quoted(str(value), 'double')}")


def command(*words: str | Path) -> str:
    """A command of these words, such as `python -m isogain.status FOLDER`."""
    return " ".join(map(word, words))


def word(text: str | Path) -> str:
    """One word of a shell; with control characters in it as $'...', so that a terminal shows them."""
    text = str(text)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_visible, text)) + "'"


def _visible(character: str) -> str:
    """A character as $'...' has it."""
    if character.isprintable() and character not in "'\\":
        return character
    is_byte = "\udc80" <= character <= "\udcff"  # of a name that is no UTF-8
    data = character.encode("utf-8", "surrogateescape" if is_byte else "replace")
    return "".join(f"\\x{byte:02x}" for byte in data)
