"""The examples that are measured: the first of the validation data, or given; drawn without a trace.

A batch may have any structure: what the network is called with is its first part, the targets its second one.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import numpy
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map  # breaks when torch moves them
from torch.utils.data import DataLoader, IterableDataset

from isogain.config.ranges import at_least

Part = Callable[[Any], Any]


class Probe:
    """`examples` of them, the same all through a run: `given` as a batch or as a function that returns one, else the
    first of the validation dataloader.

    `inputs` and `targets` take their parts out of a batch that is no (x, y, ...).
    """

    def __init__(
        self,
        examples: int,
        given: Any = None,
        inputs: Part | None = None,
        targets: Part | None = None,
        least: int = 1,
    ) -> None:
        self.examples = int(at_least("examples", examples, least))
        self.given, self.inputs, self.targets = given, inputs, targets
        self._batch: Any = None

    def forget(self) -> None:
        """Draw it again: another training begins."""
        self._batch = None

    def batch(self, trainer: pl.Trainer, module: pl.LightningModule) -> tuple[Any, Any]:
        """x and y on the module's device, y None where the batch has none.

        Raises ValueError where there is no batch, and where it does not say which part of it is x.
        """
        if self._batch is None:
            self._batch = self._drawn(trainer)
        batch = module.transfer_batch_to_device(self._batch, module.device, 0)
        return self._x(batch), self._y(batch)

    def _drawn(self, trainer: pl.Trainer) -> Any:
        if callable(self.given) and not isinstance(self.given, Tensor):
            with generators_kept():
                return self.given()
        if self.given is not None:
            return self.given
        loaders = tree_leaves(trainer.val_dataloaders)
        if not loaders or loaders[0] is None:
            raise ValueError("probe: there is no validation dataloader: pass probe=(x, y)")
        return first_examples(loaders[0], self.examples)

    def _x(self, batch: Any) -> Any:
        if self.inputs is not None:
            return self.inputs(batch)
        if isinstance(batch, Tensor):
            return batch
        if isinstance(batch, tuple | list) and batch:
            return batch[0]
        raise ValueError(
            f"inputs: a batch is a {type(batch).__name__}: pass inputs=, a function from the batch to what the network "
            "is called with (a dict of keyword arguments, a tuple of arguments or a tensor)"
        )

    def _y(self, batch: Any) -> Any:
        if self.targets is not None:
            return self.targets(batch)
        return batch[1] if isinstance(batch, tuple | list) and len(batch) > 1 else None


def first_examples(loader: Any, examples: int) -> Any:
    """A batch of the first `examples` of a dataloader, or as many as there are, without its workers and iterators.

    What is drawn for it leaves the generators as they were. Raises ValueError for data that can be read once only.

    >>> from torch.utils.data import TensorDataset
    >>> first_examples(DataLoader(TensorDataset(torch.arange(5)), batch_size=2), 3)
    [tensor([0, 1, 2])]
    """
    with generators_kept(*_generators_of(loader)):
        if not isinstance(loader, DataLoader):
            return _cut(next(_fresh(loader)), examples)
        if isinstance(loader.dataset, IterableDataset):
            items = _fresh(loader.dataset)
            if loader.batch_size is None:
                return _cut(loader.collate_fn(next(items)), examples)
            return loader.collate_fn(list(islice(items, examples)))
        if loader.batch_sampler is None:
            place = next(iter(loader.sampler))
            return _cut(loader.collate_fn(loader.dataset[place]), examples)
        places = list(islice(chain.from_iterable(loader.batch_sampler), examples))
        return loader.collate_fn(_items(loader.dataset, places))


@contextmanager
def generators_kept(*own: torch.Generator) -> Iterator[None]:
    """The state of the global generators, and of those given, is afterwards what it was."""
    states, python = [g.get_state() for g in own], random.getstate()
    of_numpy: Any = numpy.random.get_state()
    devices = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for generator, state in zip(own, states, strict=True):
            generator.set_state(state)
        random.setstate(python)
        numpy.random.set_state(of_numpy)


def _generators_of(loader: Any) -> list[torch.Generator]:
    """Those that a loader, its samplers and its dataset have for attributes."""
    parts = [
        loader,
        *(getattr(loader, name, None) for name in ("sampler", "batch_sampler", "dataset")),
    ]
    parts += [getattr(part, "sampler", None) for part in parts]
    values = [v for part in parts for v in getattr(part, "__dict__", {}).values()]
    return list({id(g): g for g in values if isinstance(g, torch.Generator)}.values())


def _fresh(data: Iterable[Any]) -> Iterator[Any]:
    items = iter(data)
    if items is data:
        raise ValueError(
            f"probe: a {type(data).__name__} can be read once only, by the training: pass probe=(x, y)"
        )
    return items


def _items(dataset: Any, places: list[Any]) -> list[Any]:
    if callable(many := getattr(dataset, "__getitems__", None)):
        return many(places)
    return [dataset[place] for place in places]


def _cut(batch: Any, examples: int) -> Any:
    return tree_map(lambda t: t[:examples] if isinstance(t, Tensor) and t.ndim else t, batch)
