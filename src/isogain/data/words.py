"""From a sentence to numbers: words, a vocabulary, and vectors from a GloVe or fastText text file."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isogain.errors import DataError

PADDING, UNKNOWN = 0, 1  # their numbers in every vocabulary
WORD = re.compile(
    r"""\w+(?=n't\b)            # "do" of "don't"
      | n't\b | '(?:s|re|ve|ll|d|m)\b  # what English appends, as in the Penn Treebank and in GloVe
      | \w+(?:-\w+)*            # "well", "well-made"
      | [^\w\s]                 # a mark of punctuation""",
    re.VERBOSE,
)


def words(sentence: str) -> list[str]:
    """Lower-case words and marks of a sentence: "It's good." -> it 's good ."""
    return WORD.findall(sentence.lower())


def vocabulary(sentences: Iterable[Sequence[str]], min_count: int = 1) -> dict[str, int]:
    """Numbers from 2 for the words seen `min_count` times, the most frequent first and equals by spelling."""
    counts = Counter(word for sentence in sentences for word in sentence)
    kept = [word for word, n in counts.items() if n >= min_count]
    ranked = sorted(kept, key=lambda word: (-counts[word], word))
    return {word: i for i, word in enumerate(ranked, start=UNKNOWN + 1)}


def numbered(sentences: Sequence[Sequence[str]], known: dict[str, int], length: int) -> Tensor:
    """The first `length` words of each sentence, (B, length) of int32, padded in front: its end comes last."""
    rows = torch.full((len(sentences), length), PADDING, dtype=torch.int32)
    for row, sentence in zip(rows, sentences, strict=True):
        if found := [known.get(word, UNKNOWN) for word in sentence[:length]]:
            row[-len(found) :] = torch.tensor(found, dtype=torch.int32)
    return rows


def vectors(path: Path, wanted: set[str]) -> tuple[dict[str, int], Tensor]:
    """Numbers of those `wanted` words that a text file of word vectors has, and their table (2 + words, dim).

    A line is a word and its numbers, between spaces; fastText's first line, two counts, is skipped. Padding
    is 0, an unknown word the mean of the known ones. Raises DataError where a line has another length.
    """
    known: dict[str, int] = {}
    rows: list[np.ndarray] = []
    for number, (word, values) in enumerate(_lines(path), start=1):
        if word not in wanted or word in known or (number == 1 and " " not in values):
            continue
        try:
            row = np.array(values.split(" "), dtype=np.float32)
        except ValueError:
            raise DataError(f"{path}: line {number} is no word and its numbers") from None
        if rows and len(row) != len(rows[0]):
            raise DataError(
                f"{path}: line {number} has {len(row)} numbers, expected {len(rows[0])}"
            )
        known[word] = UNKNOWN + 1 + len(rows)
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: has none of the {len(wanted):,} words of the task")
    table = np.stack(rows)
    special = np.stack([np.zeros_like(table[0]), table.mean(0)])
    return known, torch.from_numpy(np.concatenate([special, table]))


def _lines(path: Path) -> Iterable[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                word, _, values = line.rstrip().partition(" ")
                yield word, values
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); data.embeddings is a text file"
        ) from None
