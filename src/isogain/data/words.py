"""From a sentence to numbers: words, a vocabulary, and their vectors."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from isogain.config.errors import DataError
from isogain.data.word_vectors import entries, vector

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
        if numbers := [known.get(word, UNKNOWN) for word in sentence[:length]]:
            row[-len(numbers) :] = torch.tensor(numbers, dtype=torch.int32)
    return rows


def vectors(path: Path, wanted: set[str]) -> tuple[dict[str, int], Tensor]:
    """Numbers of those `wanted` words that a text file of word vectors has, and their table (2 + words, dim).

    Of a word that comes twice the first vector counts. Padding is 0, an unknown word the mean of the known ones. Raises
    DataError as `word_vectors.entries`, and where the vector of a wanted word is not finite.
    """
    known: dict[str, int] = {}
    rows: list[np.ndarray] = []
    for number, word, numbers in entries(path):
        if word in wanted and word not in known:
            rows.append(vector(path, number, word, numbers))
            known[word] = UNKNOWN + len(rows)
    if not rows:
        raise DataError(f"{path}: has none of the {len(wanted):,} words of the task")
    table = np.stack(rows)
    special = np.stack([np.zeros_like(table[0]), table.mean(0)])
    return known, torch.from_numpy(np.concatenate([special, table]))


class Embedding(nn.Embedding):
    """A vector a number, trained; padding is 0.

    Where `unknown_is_mean`, since training has no unknown word that could train a vector of its own, an unknown word is
    the mean of the known ones, as they are when it is met: not the numbers that its row began with.
    """

    def __init__(self, words: int, dim: int, unknown_is_mean: bool) -> None:
        super().__init__(UNKNOWN + 1 + words, dim, PADDING)
        self.unknown_is_mean = unknown_is_mean

    def forward(self, numbers: Tensor) -> Tensor:
        embedded = super().forward(numbers)
        if not self.unknown_is_mean:
            return embedded
        mean = self.weight[UNKNOWN + 1 :].detach().mean(0)
        return torch.where((numbers == UNKNOWN)[..., None], mean, embedded)
