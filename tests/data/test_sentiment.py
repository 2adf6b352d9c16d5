"""Sentences as numbers: tokens, vocabulary, vectors from a file, and the split of the published corpus."""

import gzip
import hashlib
import lzma

import pytest
import torch
from runs import Crash, assert_same_run, checkpoint, small_run

from isogain.config.errors import DataError
from isogain.data import sentiment
from isogain.data.sentiment import Sentiment
from isogain.data.words import UNKNOWN, numbered, vectors, vocabulary, words

SPLITS = ("train", "val", "test")
LINES = 40  # of each file


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with two small files, which count as the published ones; \\x85 is no end of a line."""
    for name, word in (("rt-polarity.neg", "bad"), ("rt-polarity.pos", "good")):
        lines = [f"a {word} film no{i}\x85 caf\xe9 , it's {'so ' * (i % 7)}." for i in range(LINES)]
        raw = "".join(f"{line} \n" for line in lines).encode("iso-8859-1")
        (tmp_path / name).write_bytes(raw)
        monkeypatch.setitem(sentiment.MD5, name, hashlib.md5(raw).hexdigest())
    return tmp_path


def loaded(root, **options):
    data = Sentiment(root=str(root), **options)
    data.load()
    return data


def split(data, name):
    return getattr(data, f"{name}_dataloader")()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It's good.", "it 's good ."),
        ("don't , we've", "do n't , we 've"),
        ("a well-made 21st-century caf\xe9", "a well-made 21st-century caf\xe9"),
        ('" hm " -- no!', '" hm " - - no !'),
        ("dogs' n'tish", "dogs ' n ' tish"),
        ("  ", ""),
    ],
)
def test_a_sentence_is_cut_into_words_clitics_and_marks(sentence, expected):
    assert words(sentence) == expected.split()


def test_a_vocabulary_ranks_words_by_frequency_and_leaves_rare_ones_out():
    assert vocabulary([["b", "a", "c"], ["a", "b", "b"]]) == {"b": 2, "a": 3, "c": 4}
    assert vocabulary([["b", "a", "c"], ["a", "b", "b"]], min_count=2) == {"b": 2, "a": 3}


def test_sentences_are_padded_in_front_and_cut_at_the_end():
    found = numbered([["a"], [], ["x", "a", "b", "a"]], {"a": 2, "b": 3}, length=3)
    assert found.tolist() == [[0, 0, 2], [0, 0, 0], [1, 2, 3]]


@pytest.mark.parametrize("header", ["", "3 2\n"], ids=["glove", "fasttext"])
def test_vectors_are_read_for_the_words_wanted(tmp_path, header):
    (tmp_path / "v.txt").write_text(f"{header}a 1 2\nb 3 5\nc 9 9 \n")
    known, table = vectors(tmp_path / "v.txt", {"a", "b", "z"})
    assert known == {"a": 2, "b": 3}
    assert table.tolist() == [[0, 0], [2, 3.5], [1, 2], [3, 5]]
    assert sentiment.width(tmp_path / "v.txt") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a 1 2\nb 3\n", "line 2 has 1 numbers, expected 2"),
        ("a 1 x\n", "line 1 is no word and its numbers"),
        ("c 1 2\n", "has none of the 2 words"),
    ],
)
def test_a_bad_file_of_vectors_is_named_with_the_line(tmp_path, text, said):
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=f"^{path}: {said}"):
        vectors(path, {"a", "b"})


AS_OTHERS_WRITE = {
    "byte order mark": b"\xef\xbb\xbfthe 1 2\nb 3 5\n",
    "mark and counts": b"\xef\xbb\xbf2 2\nthe 1 2\nb 3 5\n",
    "Windows": b"the 1 2\r\nb 3 5\r\n",
    "trailing blanks": b"the 1 2 \nb 3 5 \t\n",
    "tabs": b"the\t1\t2\nb\t3\t5\n",
    "more blanks": b"the  1 2\nb 3   5\n",
    "empty lines": b"\nthe 1 2\n \n\r\nb 3 5\n\n",
    "a word twice": b"the 1 2\nb 3 5\nthe 8 8\nb 9 9\n",
    "words with blanks": "the 1 2\n. . . 7 7\nat x@y.z 7 7\nno\u00a0break 7 7\nb 3 5\n".encode(),
    "no end of line": b"the 1 2\nb 3 5",
    "another's NaN": b"the 1 2\nother nan 1\nb 3 5\n",
    "gz": gzip.compress(b"the 1 2\nb 3 5\n", mtime=0),
    "xz": lzma.compress(b"\xef\xbb\xbfthe 1 2\nb 3 5\n"),
}


@pytest.mark.parametrize("raw", AS_OTHERS_WRITE.values(), ids=AS_OTHERS_WRITE)
def test_a_file_of_vectors_means_the_same_however_it_is_written(tmp_path, raw):
    (tmp_path / "v.txt").write_bytes(raw)
    known, table = vectors(tmp_path / "v.txt", {"the", "b", "x"})
    assert known == {"the": 2, "b": 3}
    assert table.tolist() == [[0, 0], [2, 3.5], [1, 2], [3, 5]]
    assert sentiment.width(tmp_path / "v.txt") == 2


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"the 1 2\nb 3 nan\n", "line 2: the vector of 'b' is not finite"),
        (b"the 1 2\nb 3 5 7\nc 1 2\n", "line 2 has 3 numbers, expected 2"),
        (b"the 1 2\nother 3\nb 1 2\n", "line 2 has 1 numbers, expected 2"),
        (b"the 1 2\nb 1 2\ncaf\xe9 3 5\n", "line 3 is no UTF-8 text"),
        ("the 1 2\n".encode("utf-16"), "is in UTF-16: save it in UTF-8"),
        (b"PK\x03\x04", "is a ZIP archive: unpack it"),
        (gzip.compress(b"the 1 2\nb 3 5\n" * 99, mtime=0)[:-9], "cannot be read"),
        (b"", "has no line of a word and its numbers"),
        (b"the\nb\n", "has no line of a word and its numbers"),
    ],
)
def test_what_is_wrong_in_a_file_of_vectors_is_one_line_with_its_place(tmp_path, raw, said):
    path = tmp_path / "v.txt"
    path.write_bytes(raw)
    with pytest.raises(DataError) as error:
        vectors(path, {"the", "b"})
    assert str(error.value).startswith(f"{path}: {said}") and "\n" not in str(error.value)


def test_an_unknown_word_is_the_mean_of_the_trained_ones_where_nothing_trains_it(root):
    data = loaded(root, min_count=1, dim=3)
    assert not (split(data, "train").x == UNKNOWN).any() and (split(data, "val").x == UNKNOWN).any()
    with torch.no_grad():
        data.embedding.weight[UNKNOWN] = 1e6  # what it began with does not count
        data.embedding.weight[UNKNOWN + 1 :].normal_()
    found = data.embedding(torch.tensor([[UNKNOWN, 0, 2]]))[0]
    torch.testing.assert_close(found[0], data.embedding.weight[UNKNOWN + 1 :].mean(0))
    assert not found[1].any() and torch.equal(found[2], data.embedding.weight[2])


def test_an_unknown_word_has_a_vector_of_its_own_where_rare_words_train_it(root):
    data = loaded(root, min_count=2, dim=3)
    x = split(data, "train").x
    assert (x == UNKNOWN).any()
    data.embedding(x).sum().backward()
    assert data.embedding.weight.grad[UNKNOWN].all()
    assert torch.equal(data.embedding(torch.tensor([UNKNOWN]))[0], data.embedding.weight[UNKNOWN])


@pytest.mark.parametrize(("subset", "sizes"), [("all", [64, 8, 8]), ("alternate", [32, 4, 4])])
def test_the_split_is_80_10_10_with_every_sentence_once(root, subset, sizes):
    data = loaded(root, subset=subset)
    assert [len(split(data, name).y) for name in SPLITS] == sizes
    y = torch.cat([split(data, name).y for name in SPLITS])
    assert y.bincount().tolist() == [sum(sizes) // 2] * 2


def test_the_alternate_subset_is_the_second_the_fourth_and_so_on(root):
    found = Sentiment(root=str(root), subset="alternate").sentences("rt-polarity.neg")
    assert [line.split()[3] for line in found] == [f"no{i}" for i in range(1, LINES, 2)]


def test_the_published_corpus_has_the_sizes_of_the_published_splits():
    """10 662 sentences, and the 5 330 of which Hlav 2019 trained on 4 264."""
    for n, sizes in ((10662, (8530, 1066, 1066)), (5330, (4264, 533, 533))):
        assert (n - 2 * (n // 10), n // 10, n // 10) == sizes


def test_labels_stay_with_their_sentences(root):
    """A word that only one file has stands with its label alone."""
    data = loaded(root)
    train = split(data, "train")
    places = {int(t) for t in train.x.unique()} - {0, 1}
    labels = {t: train.y[(train.x == t).any(1)].float().mean().item() for t in places}
    of_all = [t for t in places if (train.x == t).any(1).sum() in (train.y.bincount().tolist())]
    assert sorted(labels[t] for t in of_all) == [0, 1]


def test_unknown_words_and_padding_are_counted(root):
    data = loaded(root, min_count=2, length=12)
    x = torch.cat([split(data, name).x for name in SPLITS])
    assert data.counts["unknown"] == (x == 1).sum() > 0
    assert data.counts["padding"] == (x == 0).sum() > 0
    assert data.counts["places"] == 2 * LINES * 12


@pytest.mark.slow
def test_learned_embeddings_are_trained_and_saved_and_a_cut_run_goes_on_bitwise(root, tmp_path):
    options = ("data=sentiment", f"data.root={root}", "data.dim=5", "data.batch_size=8")
    small_run(tmp_path / "whole", *options)
    with pytest.raises(RuntimeError, match="crash"):
        small_run(tmp_path / "cut", *options, extra={"crash": Crash(9)})
    start = checkpoint(tmp_path / "cut")["state_dict"]["embedding.weight"]
    small_run(tmp_path / "cut", *options, "resume=true")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    table = checkpoint(tmp_path / "cut")["state_dict"]["embedding.weight"]
    assert table.shape[1] == 5 and not torch.equal(table, start)
    assert not table[0].any()  # padding stays 0


def test_vectors_of_a_file_are_what_the_network_reads(root, tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("good 1 2 3\nbad -1 -2 -3\n")
    data = loaded(root, embeddings=str(path))
    assert data.n_in == 3 and data.embedding is None
    x, y = next(iter(split(data, "val")))
    assert x.shape == (len(y), 50, 3) and ((x[..., 0] == 1).any(1) == (y == 1)).all()
    options = (
        "data=sentiment",
        f"data.root={root}",
        f"data.embeddings={path}",
        "data.batch_size=8",
    )
    assert small_run(tmp_path / "run", *options, "trainer.max_steps=2")["status"] == "finished"


@pytest.mark.parametrize("name", ["rt-polarity.neg", "rt-polarity.pos"])
def test_a_missing_or_damaged_file_is_named(root, name):
    raw = (root / name).read_bytes()
    (root / name).write_bytes(raw[:-10])
    with pytest.raises(DataError, match=f"{name}: MD5 of the file is .*, expected"):
        loaded(root)
    (root / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file; put .* there, or set data.root"):
        loaded(root)


def test_a_missing_file_of_vectors_is_named(root, tmp_path):
    with pytest.raises(DataError, match="none.txt: cannot be read"):
        loaded(root, embeddings=str(tmp_path / "none.txt"))


@pytest.mark.parametrize("option", ["length", "dim", "min_count"])
def test_an_option_out_of_range_is_refused_by_name(option):
    with pytest.raises(ValueError, match=f"^{option} must be .*, got 0$"):
        Sentiment(**{option: 0})
