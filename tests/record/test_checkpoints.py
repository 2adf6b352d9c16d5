"""Checkpoints are whole or absent, hold no code, and are told apart from damaged ones."""

import contextlib
import logging
import os
import pickle
import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.loops import _FitLoop
from runs import checkpoint, small_run

from isogain.config.errors import CheckpointError, UserError
from isogain.record.checkpoint_shape import REQUIRED, first_mistake, stray_moments
from isogain.record.checkpoints import WholeFileIO, first_difference, load, newest_good

MOMENTS = {"step": torch.tensor(5.0), "exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
GOOD = {
    "state_dict": {"w": torch.arange(3.0)},
    "global_step": 5,
    "pytorch-lightning_version": "2.6.6",
    "loops": {"fit_loop": _FitLoop(SimpleNamespace()).state_dict()},
    "callbacks": {"Checkpoints": {"best_score": None, "best_epoch": None}},
    "optimizer_states": [{"state": {0: MOMENTS}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
    "lr_schedulers": [],
    "isogain": {
        "record": {"metrics.csv": {"rows": 2, "last": 5}, "spectra.npz": {}},
        "tally": torch.zeros(1, 4, dtype=torch.float64),
        "metrics": {"a": 0.5, "b": None, "epoch_best": 1},
        "optim": "SGD()",
        "reg": "Soft",
        "rng": torch.get_rng_state(),
        "cuda_rng": [],
    },
}


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
    assert repr(WholeFileIO().load_checkpoint(path)) == repr(GOOD)
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


@pytest.mark.parametrize("kind", ["a link that leads nowhere", "a folder", "a pipe", "a link"])
def test_what_is_no_file_among_checkpoints_is_passed_over(tmp_path, kind):
    saved(tmp_path / "previous.ckpt", 5)
    match kind:
        case "a folder":
            (tmp_path / "last.ckpt").mkdir()
        case "a pipe":
            os.mkfifo(tmp_path / "last.ckpt")
        case "a link":
            (tmp_path / "last.ckpt").symlink_to("/dev/zero")
        case _:
            (tmp_path / "last.ckpt").symlink_to(tmp_path / "nowhere")
    assert newest_good(tmp_path)[0].name == "previous.ckpt"


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of everything in nested dicts and lists."""
    if path:
        yield path
    for key in node if isinstance(node, dict) else range(len(node)) if type(node) is list else ():
        yield from places(node[key], (*path, key))


def changed(content: dict, path: tuple, value: Any) -> dict:
    """`content` with another value at `path`; nothing there where that is `changed` itself."""
    content = deepcopy(content)
    node = content
    for key in path[:-1]:
        node = node[key]
    if value is changed:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return content


WRONG = ["abc", -1, 2.5, True, None, [1], {}, {"a": 1}, {1: {}}, torch.zeros(7), changed]
NEEDED = [
    *((name,) for name in ("global_step", "state_dict", "loops", "callbacks", "optimizer_states")),
    *(("isogain", name) for name in ("tally", "metrics", "optim", "reg", "rng", "cuda_rng")),
    *[("state_dict", "w"), ("loops", "fit_loop"), ("optimizer_states", 0), ("isogain",)],
    ("loops", "fit_loop", "epoch_progress", "current", "processed"),
    ("loops", "fit_loop", "epoch_loop.batch_progress", "is_last_batch"),
    ("optimizer_states", 0, "param_groups"),
    ("optimizer_states", 0, "param_groups", 0, "params"),
    ("optimizer_states", 0, "state", 0, "exp_avg"),
]


def mistake_of(checkpoint: dict) -> str | None:
    return first_mistake(checkpoint) or stray_moments(checkpoint)


@pytest.mark.parametrize("path", NEEDED, ids=str)
def test_a_wrong_type_where_training_takes_one_for_granted_is_passed_over_with_a_line(path):
    harmless = {"metrics": [{}, {"a": 1}], "cuda_rng": [], "callbacks": [{}], "optim": ["abc"]}
    harmless |= {"reg": ["abc"], "exp_avg": [-1, 2.5, True, None, changed], "is_last_batch": [True]}
    for value in WRONG:
        broken = changed(GOOD, path, value)
        kept = any(
            value is v or type(value) is type(v) is dict and value == v
            for v in harmless.get(path[-1], [])
        )
        if path == ("state_dict", "w") and isinstance(value, torch.Tensor):
            continue  # a tensor of another shape: another network's
        mistake = mistake_of(broken) if REQUIRED <= broken.keys() else "lacks a key"
        assert (mistake is None) == kept, (value, mistake)
        assert kept or ("\n" not in mistake and len(mistake) < 200)


def test_the_shape_of_anything_is_a_line_and_never_an_error():
    for path in places(GOOD):
        for value in WRONG:
            broken = changed(GOOD, path, value)
            if REQUIRED <= broken.keys():
                assert isinstance(mistake_of(broken), str | None)


def test_of_two_checkpoints_the_one_of_wrong_types_is_passed_over(tmp_path, caplog):
    saved(tmp_path / "previous.ckpt", 5)
    saved(tmp_path / "last.ckpt", global_step="abc")
    with caplog.at_level(logging.WARNING):
        assert newest_good(tmp_path)[0].name == "previous.ckpt"
    assert "last.ckpt: not a checkpoint of a training run (global_step is" in caplog.text


@pytest.mark.slow
def test_from_a_checkpoint_with_anything_wrong_in_it_a_run_goes_on_or_ends_with_a_line(tmp_path):
    draw, out = random.Random(0), tmp_path / "run"
    few = ("data=adding", "data.T=4", "trainer.max_epochs=1", "callbacks.checkpoints.every=3")
    small_run(out, *few)
    real, last = checkpoint(out, "previous"), out / "checkpoints" / "last.ckpt"
    everywhere = [(path, value) for path in places(real) for value in WRONG]
    for path, value in draw.sample(everywhere, 60):
        torch.save(changed(real, path, value), last)
        with contextlib.suppress(UserError):
            assert small_run(out, *few, "resume=true")["status"] in ("finished", "diverged")


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
