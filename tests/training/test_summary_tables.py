"""What a run says of itself on the terminal."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Toy, learner

from isogain.init import glorot_
from isogain.init.initialiser import as_initialiser
from isogain.optim import SGD
from isogain.reg.srip import SRIP
from isogain.reg.stiefel import Stiefel
from isogain.training import summary_tables

FOUND = {
    "status": "finished",
    "test/acc": 0.98765,
    "val/acc": 0.5,
    "val/acc_best": 0.625,
    "epoch_best": 3,
    "gap/final": 1e-7,
    "gap/worst": 0.25,
    "gain": 1.0625,
    "jacobian/log_max": 2.0,
    "jacobian/q05": 1e-9,
    "jacobian/q50": 0.25,
    "jacobian/q95": 1.5,
    "jacobian/mean_square": 1.0625,
    "seconds": 61.25,
    "examples_per_second": 12345.6,
}


def rows(text: str) -> dict[str, str]:
    """The two columns of a table."""
    lines = [line.strip().split("  ", 1) for line in text.splitlines()]
    return {name: value.strip() for name, value in lines}


class Loaded(Toy):
    length, n_in = 5, 3


def start(model: Any) -> dict[str, str]:
    device = torch.device("cpu")
    init = as_initialiser(partial(glorot_, gain=1.5, distribution="normal"))
    return rows(
        summary_tables.start_table(model, Loaded(20, 8), device, init, {"seed": 3, "out": "run"})
    )


def test_all_values_of_a_table_begin_in_one_column():
    lines = summary_tables.table({"a": 1, "long name": "x", "": None}).splitlines()
    assert [line.rindex(v) for line, v in zip(lines, ["1", "x", "None"], strict=True)] == [13] * 3


def test_the_start_table_names_the_parts_and_their_options():
    reg = SRIP(0.5, 1.5, schedule="linear", epochs=2.5, every=3, iterations=4)
    found = start(learner(reg, SGD(lr=0.25, kernel_lr=0.125, grad_clip=2)))
    assert found["model"] == "RNN 1 × 6, 88 parameters"
    assert found["kernels"] == "recurrent (1, 6, 6)"
    assert found["init"] == "glorot gain 1.5, distribution normal"
    assert found["reg"] == (
        "SRIP strength 0.5, gain 1.5, reduction sum, schedule linear, epochs 2.5, onset 0, every 3, iterations 4"
    )
    assert found["data"] == "Loaded 5 × 3, 20 examples, 3 batches"
    assert found["optim"] == "SGD lr 0.25, kernels 0.125, clip 2, cosine"
    assert found["device"] == f"cpu, {torch.get_num_threads()} threads"
    assert (found["seed"], found["out"]) == ("3", "run")


def test_without_clipping_and_options_the_start_table_names_none():
    found = start(learner(optim=SGD(lr=0.1)))
    assert found["optim"] == "SGD lr 0.1, kernels 0.1, cosine" and found["reg"] == "Regularizer"


def test_the_start_table_says_that_the_gain_is_learned_and_not_what_training_keeps():
    found = start(learner(Stiefel("learned", adam="scalar")))["reg"]
    assert found == (
        "Stiefel gain learned, metric euclidean, retraction newton_schulz, adam scalar"
    )


def test_the_end_table_shows_the_summary_in_the_units_of_a_reader(tmp_path):
    assert rows(summary_tables.end_table(FOUND, tmp_path)) == {
        "status": "finished",
        "test accuracy": "98.77 %",
        "validation": "50.00 %, best 62.50 % (epoch 4)",
        "orthogonality gap": "final 1.00e-07, worst 2.50e-01, at gain 1.062",
        "Jacobian spread": "s up to 7.39, median 0.25, 90 % in 1e-09 … 1.5",
        "Jacobian mean s²": "1.062",
        "time": "61.2 s, 12,346 examples/s",
        "folder": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("unknown", "row"),
    [
        ("test/acc", "test accuracy"),
        ("gap/final", "orthogonality gap"),
        ("jacobian/log_max", "Jacobian spread"),
        ("jacobian/mean_square", "Jacobian mean s²"),
    ],
)
def test_what_is_not_known_has_no_row(tmp_path, unknown, row):
    known = {name: value for name, value in FOUND.items() if name != unknown}
    assert row not in rows(summary_tables.end_table(known, tmp_path))
    assert row in rows(summary_tables.end_table(FOUND, tmp_path))


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"reg/svd_fallbacks": 0}, ", SVD fall-backs 0"),
        ({"reg/shortened": 12}, ", steps shortened 12"),
        ({"gain/min": 0.5, "gain/max": 1.75}, " (learned, 0.5 … 1.75)"),
        (
            {"gain/min": 0.5, "gain/max": 1.75, "reg/svd_fallbacks": 3},
            " (learned, 0.5 … 1.75), SVD fall-backs 3",
        ),
    ],
)
def test_the_gap_comes_with_its_gain_and_what_the_constraint_had_to_do(tmp_path, more, end):
    gap = rows(summary_tables.end_table(FOUND | more, tmp_path))["orthogonality gap"]
    assert gap == "final 1.00e-07, worst 2.50e-01, at gain 1.062" + end


def test_an_accuracy_of_0_is_shown(tmp_path):
    assert (
        rows(summary_tables.end_table(FOUND | {"test/acc": 0.0}, tmp_path))["test accuracy"]
        == "0.00 %"
    )


def test_a_run_that_only_began_still_has_a_table(tmp_path):
    error = "train/loss is nan at step 1"
    found = rows(
        summary_tables.end_table({"status": "diverged", "error": error, "seconds": 0.5}, tmp_path)
    )
    assert found == {
        "status": f"diverged: {error}",
        "time": "0.5 s",
        "folder": str(tmp_path),
    }


def test_the_end_table_says_how_to_see_the_curves_of_the_newest_mirror(tmp_path):
    for stamp in ("20260102", "20260103"):
        (tmp_path / "wandb" / f"offline-run-{stamp}-abc").mkdir(parents=True)
    newest = tmp_path / "wandb" / "offline-run-20260103-abc"
    assert rows(summary_tables.end_table(FOUND, tmp_path))["curves"] == f"wandb leet {newest}"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"test/loss": 0.25}, "0.25"),
        ({"test/loss": 0.25, "baseline/loss": 0.5}, "0.25, baseline 0.5"),
        ({"test/loss": 0.25, "baseline/loss": 0.5, "test/acc": 1}, "0.25, baseline 0.5"),
        ({"test/loss": 0.25, "test/acc": 1}, None),
        ({"baseline/loss": 0.5}, None),
    ],
)
def test_the_end_table_has_the_loss_where_no_accuracy_speaks_for_it_or_a_baseline_is_known(
    known, said
):
    table = summary_tables.end_table({"status": "finished", "seconds": 1} | known, Path("run"))
    assert rows(table).get("test loss") == said
