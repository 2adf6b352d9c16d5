"""Sentence polarity: 10 662 sentences of film reviews, half of them kind (Pang and Lee 2005). Bring your own files."""

import logging
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from isogain.config.errors import DataError
from isogain.config.ranges import at_least
from isogain.data.batches import Stream
from isogain.data.source import content, located
from isogain.data.task import Task, hits
from isogain.data.word_vectors import dimension
from isogain.data.words import PADDING, UNKNOWN, Embedding, numbered, vectors, vocabulary, words

log = logging.getLogger(__name__)
MD5 = {
    "rt-polarity.neg": "1e35b7f7c5df24a135ca62b8eecded53",
    "rt-polarity.pos": "afcc7ff580b3b4df4bdb6528e6558ab5",
}
REMEDY = (
    "put rt-polarity.neg and rt-polarity.pos of Pang and Lee's sentence polarity dataset v1.0 there, "
    "or set data.root"
)


class Sentiment(Task):
    """x (B, length, dim) the words of a sentence, y 0 for negative and 1 for positive; 8 530 / 1 066 / 1 066.

    Words by `words.WORD`; shorter sentences are padded in front. Without `embeddings` a table (words of
    the training sentences seen `min_count` times, `dim`) is learned; an unknown word is one vector, which rarer
    words train, or where there are none (`min_count=1`) the mean of the known ones. With a GloVe, word2vec or
    fastText text file (plain, .gz or .xz) its vectors are kept as they are, an unknown word being their mean.
    `split_seed` draws the split. `subset=alternate` is every second sentence, 4 264 / 533 / 533, as the
    loader of Hlav 2019 has it.
    """

    n_out, loss, hits, sequential = 2, staticmethod(cross_entropy), staticmethod(hits), True

    def __init__(
        self,
        length: int = 50,
        dim: int = 100,
        min_count: int = 1,
        embeddings: str | None = None,
        subset: Literal["all", "alternate"] = "all",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        root: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, seed)
        self.length, self.dim = int(at_least("length", length, 1)), int(at_least("dim", dim, 1))
        self.min_count = int(at_least("min_count", min_count, 1))
        self.path, self.subset = Path(embeddings) if embeddings else None, subset
        train, held_out = (8_530, 1_066) if subset == "all" else (4_264, 533)
        self.split_sizes = {"train": train, "val": held_out, "test": held_out}
        self.root = Path(root or "data")
        self.n_in = self.dim if self.path is None else width(self.path)
        self.counts: dict[str, int] = {}

    def streams(self, device: torch.device | str) -> dict[str, Stream]:
        negative, positive = (self.sentences(name) for name in MD5)
        sentences = [words(line) for line in negative + positive]
        y = torch.arange(len(sentences)) // len(negative)
        draw = torch.Generator().manual_seed(self.split_seed)
        rows = torch.randperm(len(sentences), generator=draw)
        tenth = len(rows) // 10
        train, val, test = rows[2 * tenth :], rows[:tenth], rows[tenth : 2 * tenth]
        if self.path is None:
            known = vocabulary((sentences[i] for i in train.tolist()), self.min_count)
        else:
            known, table = vectors(self.path, {w for s in sentences for w in s})
            self.table = table.to(device)
        x = numbered(sentences, known, self.length)
        if self.path is None:
            untrained = not (x[train] == UNKNOWN).any().item()
            self.embedding = Embedding(len(known), self.dim, untrained)
        self.count(x, len(known))
        parts = {"train": train, "val": val, "test": test}
        return self.stored({p: (x[rows], y[rows]) for p, rows in parts.items()}, device, self.view)

    def sentences(self, name: str) -> list[str]:
        """The lines of a file; ISO-8859-1, and cut at \\n alone: the text has other line breaks within."""
        folders = [self.root, self.root / "rt-polarity", self.root / "rt-polaritydata"]
        raw = content(located(folders, name) or self.root / name, MD5[name], REMEDY)
        lines = raw.decode("iso-8859-1").removesuffix("\n").split("\n")
        return lines[1::2] if self.subset == "alternate" else lines

    def count(self, x: Tensor, known: int) -> None:
        """Say how many words are known, and how many of those in the sentences are not, and are padding."""
        padding, unknown = (int((x == number).sum()) for number in (PADDING, UNKNOWN))
        self.counts = {"known": known, "unknown": unknown, "padding": padding, "places": x.numel()}
        log.info(
            "%s words known; of %s places %s unknown, %s padding",
            *(f"{n:,}" for n in (known, x.numel(), unknown, padding)),
        )

    def view(self, x: Tensor) -> Tensor:
        """Vectors read from the file; numbers, where the vectors are learned."""
        return x if self.path is None else self.table[x]


def width(path: Path) -> int:
    """The numbers a word has in a file of word vectors; 1 where it cannot be read, which `load` reports."""
    try:
        return dimension(path)
    except DataError:
        return 1
