"""Checkpoints are whole or absent, hold no code, and are told apart from damaged ones."""

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from isogain.errors import CheckpointError, UserError
from isogain.record.checkpoints import WholeFileIO, first_difference, load, newest_good

GOOD = {"state_dict": {"w": torch.arange(3.0)}, "global_step": 5, "loops": {}, "isogain": {}}


def saved(path: Path, age: int = 0, **changed: Any) -> Path:
    """A checkpoint at `path` that is `age` seconds old."""
    WholeFileIO().save_checkpoint(GOOD | changed, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def told(path: Path) -> str:
    with pytest.raises(CheckpointError) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"ckpt={path}: ") and "\n" not in str(refusal.value)
    return str(refusal.value)


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "deep" / "last.ckpt"
    WholeFileIO().save_checkpoint(GOOD, path)
    torch.testing.assert_close(WholeFileIO().load_checkpoint(path), GOOD, rtol=0, atol=0)
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


class Unwritable:
    def __reduce__(self):
        raise OSError("no space left on device")


@pytest.mark.parametrize("before", [True, False])
def test_a_save_that_fails_midway_leaves_what_was_there_and_no_partial_file(tmp_path, before):
    path = tmp_path / "last.ckpt"
    if before:
        saved(path)
    with pytest.raises(UserError, match=f"^{path}: cannot be written .no space left on device.$"):
        WholeFileIO().save_checkpoint({"w": torch.zeros(1000), "x": Unwritable()}, path)
    assert [file.name for file in tmp_path.iterdir()] == (["last.ckpt"] if before else [])
    assert not before or load(path)["global_step"] == 5


def test_a_file_that_does_not_exist_is_told(tmp_path):
    assert told(tmp_path / "none.ckpt").endswith(": no such file")


def test_a_folder_is_no_checkpoint(tmp_path):
    assert told(tmp_path).endswith(": no such file")


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_file_cut_anywhere_is_told(tmp_path, share):
    path = saved(tmp_path / "last.ckpt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "not a readable checkpoint (" in told(path)


@pytest.mark.parametrize("content", [b"junk", b"\0" * 5000, b"PK\x03\x04" + b"x" * 100])
def test_a_file_of_anything_else_is_told(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    assert "not a readable checkpoint (" in told(path)


class Attack:
    """Runs code where an unpickler is naive."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda a, path: path.write_bytes(pickle.dumps(a, 2))])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path, save):
    path, trace = tmp_path / "last.ckpt", tmp_path / "trace"
    save(GOOD | {"attack": Attack(trace)}, path)
    assert "not a readable checkpoint (" in told(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert trace.exists()  # it was an attack


@pytest.mark.parametrize(
    "content",
    [{"w": torch.zeros(1)}, {"state_dict": {}}, [1, 2], torch.zeros(2), {}],
    ids=["weights", "bare", "list", "tensor", "empty"],
)
def test_what_is_readable_but_no_checkpoint_is_told(tmp_path, content):
    torch.save(content, tmp_path / "last.ckpt")
    assert told(tmp_path / "last.ckpt").endswith(": not a checkpoint of a training run")


@pytest.mark.parametrize(
    ("steps_and_ages", "expected"),
    [
        ({"last": (9, 0), "previous": (6, 5)}, "last"),
        ({"last": (6, 0), "previous": (9, 5)}, "previous"),
        ({"last": (9, 5), "best": (9, 0)}, "best"),
        ({"last": (9, 0), "best": (9, 5)}, "last"),
        ({"best": (3, 0)}, "best"),
    ],
)
def test_the_newest_has_the_most_steps_and_of_equals_is_the_latest(
    tmp_path, steps_and_ages, expected
):
    for name, (step, age) in steps_and_ages.items():
        saved(tmp_path / f"{name}.ckpt", age, global_step=step)
    path, checkpoint = newest_good(tmp_path)
    assert path.stem == expected and checkpoint["global_step"] == steps_and_ages[expected][0]


def test_an_unreadable_checkpoint_is_passed_over_and_said(tmp_path, caplog):
    saved(tmp_path / "previous.ckpt", 5)
    (tmp_path / "last.ckpt").write_bytes(b"junk")
    with caplog.at_level(logging.WARNING):
        assert newest_good(tmp_path)[0].name == "previous.ckpt"
    assert caplog.text.count("last.ckpt: not a readable checkpoint") == 1


@pytest.mark.parametrize("damaged", [[], ["last.ckpt", "best.ckpt"]], ids=["none", "all damaged"])
def test_without_a_good_checkpoint_there_is_none(tmp_path, damaged):
    for name in damaged:
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / ".last.ckpt.1.part").write_bytes(b"half")
    assert newest_good(tmp_path) is None
    assert newest_good(tmp_path / "nowhere") is None


W, V = torch.zeros(2, 3), torch.zeros(4)


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        ({"w": W, "v": V}, None),
        ({"v": V, "w": W}, None),
        ({"w": W}, "it has no v, which the model needs"),
        ({"w": W.mT, "v": V}, "w is (3, 2) there and (2, 3) in the model"),
        ({"w": W, "v": V, "u": V}, "it has u, which the model lacks"),
        ({"u": V}, "it has no w, which the model needs"),
        ({}, "it has no w, which the model needs"),
    ],
)
def test_the_first_difference_is_the_first_in_the_models_order(found, difference):
    assert first_difference(found, {"w": W, "v": V}) == difference
