"""How many batches an epoch has, and which of the Trainer's options ask for what it does not have."""

from collections.abc import Iterator, Mapping
from typing import Any

PARTS = ("train", "val", "test")


def limited(batches: int, limit: float | None) -> int:
    """Of so many batches those that `trainer.limit_..._batches` leaves: a whole number of them, or a fraction."""
    if limit is None:
        return batches
    return int(batches * limit) if isinstance(limit, float) else min(batches, limit)


def refusals(batches: Mapping[str, int], options: Mapping[str, Any]) -> Iterator[str]:
    """A line for each of the Trainer's `options` that an epoch of so many `batches`, by part, cannot do."""
    short = dict(_too_small(batches, options))
    yield from short.values()
    if "train" in short or "train" not in batches:
        return
    train = limited(batches["train"], options.get("limit_train_batches"))
    if train == 0:
        yield "trainer.limit_train_batches must not be 0: nothing to train"
        return
    yield from _beyond_an_epoch(train, options)
    yield from _never_reached(train, options)


def _too_small(batches: Mapping[str, int], options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in PARTS:
        limit, count = options.get(f"limit_{part}_batches"), batches.get(part, 0)
        if limit and count and limited(count, limit) == 0:
            yield (
                part,
                f"trainer.limit_{part}_batches={limit}: less than one batch of {count}: at least {_up(1 / count)}, "
                "or a whole number of batches",
            )


def _beyond_an_epoch(train: int, options: Mapping[str, Any]) -> Iterator[str]:
    """What counts batches within an epoch, of `train` batches, and more than there are."""
    of = f"an epoch has {train} batch{'es' * (train > 1)}"
    every, epochs = options.get("val_check_interval"), options.get("check_val_every_n_epoch", 1)
    validates = options.get("limit_val_batches") != 0 and epochs is not None
    if isinstance(every, int) and every > train and validates:
        yield (
            f"trainer.val_check_interval={every}: {of}; with trainer.check_val_every_n_epoch=null it counts "
            "batches over all epochs"
        )
    together = options.get("accumulate_grad_batches") or 1
    if together > train:
        yield f"trainer.accumulate_grad_batches={together}: {of}, and its end is a step in any case"


def _never_reached(train: int, options: Mapping[str, Any]) -> Iterator[str]:
    """Lower bounds that lie beyond the upper ones."""
    steps = -(-train // (options.get("accumulate_grad_batches") or 1))
    most = _known(options, "max_steps"), _known(options, "max_epochs")
    if (least := options.get("min_epochs")) and most[0] and least * steps > most[0]:
        yield f"trainer.min_epochs={least}: {least * steps} steps, more than trainer.max_steps={most[0]}"
    if (least := options.get("min_steps")) and most[1] and least > most[1] * steps:
        yield f"trainer.min_steps={least}: more than trainer.max_epochs={most[1]} has, {most[1] * steps}"


def _known(options: Mapping[str, Any], name: str) -> int | None:
    """An upper limit, None where there is none."""
    limit = options.get(name)
    return limit if limit and limit > 0 else None


def _up(fraction: float) -> str:
    """Three digits of it, rounded up: what is at least so much."""
    digits = f"{fraction:.3g}"
    return digits if float(digits) >= fraction else f"{float(digits) * 1.01:.3g}"
