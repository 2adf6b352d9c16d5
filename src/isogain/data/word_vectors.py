"""Text files of word vectors, as GloVe, word2vec and fastText publish them: a word and its numbers a line."""

import gzip
import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isogain.config.errors import DataError

BOM = b"\xef\xbb\xbf"
BLANKS = " \t\r\n"  # no more: a word may hold a no-break space
BETWEEN = re.compile(r"[ \t]+")
FIRST = 100  # lines that say how many numbers a word has
OPEN = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}
NO_TEXT = {
    b"PK": "is a ZIP archive: unpack it",
    b"\xff\xfe": "is in UTF-16: save it in UTF-8",
    b"\xfe\xff": "is in UTF-16: save it in UTF-8",
}


def entries(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number of the line, word and numbers, one blank between them, of every line that has a word.

    A first line of two counts (word2vec, fastText), a byte order mark, empty lines and ends of lines as on Windows are
    passed over, .gz and .xz are unpacked; a word may have blanks itself. Raises DataError with the line that has too
    few or too many numbers, or is no UTF-8.
    """
    dim = dimension(path)
    for number, line in _lines(path):
        if line.count(" ") == dim and "\t" not in line:
            word, _, numbers = line.partition(" ")
        else:
            word, numbers = _apart(path, number, line, dim)
        yield number, word, numbers


def vector(path: Path, number: int, word: str, numbers: str) -> np.ndarray:
    """The numbers of a line; raises DataError unless all are finite ones."""
    try:
        row = np.array(numbers.split(" "), dtype=np.float32)
    except ValueError:
        raise DataError(f"{path}: line {number} is no word and its numbers") from None
    if not np.isfinite(row).all():
        raise DataError(f"{path}: line {number}: the vector of '{word}' is not finite")
    return row


def dimension(path: Path) -> int:
    """How many numbers a word has: as many as most of the first hundred lines have; raises DataError as `entries`."""
    lengths = Counter(len(BETWEEN.split(line)) - 1 for _, line in islice(_lines(path), FIRST))
    if not lengths or not (dim := lengths.most_common(1)[0][0]):
        raise DataError(f"{path}: has no line of a word and its numbers")
    return dim


def _apart(path: Path, number: int, line: str, dim: int) -> tuple[str, str]:
    """Word and numbers of a line that has other blanks than one between each."""
    fields = BETWEEN.split(line)
    word, numbers = fields[: len(fields) - dim], fields[len(fields) - dim :]
    if len(fields) <= dim or (len(word) > 1 and all(map(_is_number, word[1:]))):
        raise DataError(f"{path}: line {number} has {len(fields) - 1} numbers, expected {dim}")
    return " ".join(word), " ".join(numbers)


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of every line that is neither empty nor the counts at the head of the file."""
    number = 0
    try:
        with _opened(path) as file:
            for number, raw in enumerate(file, start=1):
                if number == 1:
                    raw = raw.removeprefix(BOM)
                line = raw.decode().strip("\r\n").rstrip(BLANKS)
                if line.strip(BLANKS) and not (number == 1 and _are_counts(line)):
                    yield number, line
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: line {number} is no UTF-8 text ({error.reason})") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be read ({reason}); data.embeddings is a text file"
        ) from None


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        head = file.read(2)
    if head in NO_TEXT:
        raise DataError(f"{path}: {NO_TEXT[head]}")
    return OPEN.get(head, io.open)(path, "rb")


def _are_counts(line: str) -> bool:
    """Whether a line is the number of words and of numbers a word, and not a word with one number."""
    fields = BETWEEN.split(line)
    return len(fields) == 2 and all(field.isdecimal() for field in fields)
