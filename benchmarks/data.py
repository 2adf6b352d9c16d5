"""What a task's data path costs of a training step: the step of its smallest published model, batch 128 (rows: 256).

    python benchmarks/data.py [--root data] [--rounds 5] [--torchvision] [task ...]

Each round times the next batch, and a bare step (forward, backward, Adam) on it, in turn; the medians are printed and
the share of the first in both, and its share of a step as train.py takes it: the learner under Lightning's Trainer,
without loggers and callbacks. Where the files of CIFAR-10 or SVHN are missing, as many drawn pixels stand in for them;
another task without files is left out; the output says so in both cases. `--torchvision` draws the same images
through torchvision, transforms and a DataLoader without workers.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from pytorch_lightning import Callback, Trainer
from torch import nn

from isogain.config.errors import DataError
from isogain.data.cifar import CIFAR10
from isogain.data.mnist import MNIST, FashionMNIST, SeqFashionMNIST, SeqMNIST
from isogain.data.padded import NoisyPadded
from isogain.data.sentiment import Sentiment
from isogain.data.svhn import SVHN
from isogain.data.synthetic import Adding, Copy, Teacher
from isogain.data.task import Task
from isogain.init import orthogonal_
from isogain.launch import quieten
from isogain.models.base import Network
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.optim import Adam
from isogain.reg.base import Regularizer
from isogain.training.allocator import keep_freed_memory
from isogain.training.learner import Learner

RNN_64 = (RNN, {"hidden": 64})  # Hlav 2019, rows, batch 256
RNN_128 = (RNN, {"hidden": 128})  # Hlav 2019, sentences; Vorontsov 2017, pixels
RNN_170 = (RNN, {"hidden": 170})  # expRNN, pixels; projUNN, adding
RNN_190 = (RNN, {"hidden": 190, "activation": "modrelu"})  # expRNN, copying
DEEP = (MLP, {"hidden": 400, "depth": 200})  # Pennington 2017, Sokół and Park 2018
LINEAR = (MLP, {"hidden": 1000, "depth": 3, "activation": "linear"})  # Saxe 2013
CASES = {
    "mnist": (MNIST, {}, DEEP),
    "seqmnist rows": (SeqMNIST, {"batch_size": 256}, RNN_64),
    "seqmnist pixels": (SeqMNIST, {"order": "pixels"}, RNN_128),
    "noisy_padded": (NoisyPadded, {"T": 200}, RNN_128),
    "fashion": (FashionMNIST, {}, DEEP),
    "seqfashion rows": (SeqFashionMNIST, {"batch_size": 256}, RNN_64),
    "cifar10 flat": (CIFAR10, {"order": "flat"}, DEEP),
    "svhn flat": (SVHN, {"order": "flat"}, DEEP),
    "sentiment": (Sentiment, {}, RNN_128),
    "copy": (Copy, {"T": 200}, RNN_190),
    "adding": (Adding, {"T": 200}, RNN_170),
    "teacher": (Teacher, {}, LINEAR),
}

IMAGES = {CIFAR10: (50_000, 10_000), SVHN: (73_257, 26_032)}  # for training and test


def drawn(shape: tuple[int, int, int], counts: tuple[int, int]) -> list[torch.Tensor]:
    """Images and labels as `Images.read` has them, without a meaning."""
    return [
        part
        for count in counts
        for part in (
            torch.randint(256, (count, *shape), dtype=torch.uint8),
            torch.randint(10, (count,), dtype=torch.uint8),
        )
    ]


def load(data: Task) -> str:
    """Load the task; what stands in for its files, in words. Raises DataError where nothing does."""
    try:
        data.load()
    except DataError:
        if type(data) not in IMAGES:
            raise
        data.read = partial(drawn, data.shape, IMAGES[type(data)])
        data.load()
        return ", drawn pixels"
    return ""


def endless(batches) -> Iterator:
    """Batch after batch, over the ends of epochs."""
    while True:
        yield from batches


def learner_of(data: Task, model: tuple[type[Network], dict]) -> Learner:
    """The model on the task, free and with Adam."""
    kind, options = model
    net = kind(**data.sizes(), **options)
    return Learner(
        net, orthogonal_, Regularizer(), Adam(), data.loss, data.hits, embedding=data.embedding
    )


def stepper(data: Task, model: tuple[type[Network], dict]):
    """One training step on a batch."""
    learner = learner_of(data, model)
    net = learner.net
    optimiser = learner.optim(net, learner.reg)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimiser.zero_grad()
        read = nn.Identity() if data.embedding is None else data.embedding
        data.loss(net(read(x)), y).backward()
        optimiser.step()

    return step


def measured(batches: Iterator, step, rounds: int) -> tuple[float, float]:
    """Median seconds of the next batch and of a step on it."""
    feeding, training = [], []
    for i in range(rounds + 1):
        start = time.perf_counter()
        x, y = next(batches)
        fed = time.perf_counter()
        if step is not None:
            step(x, y)
        if i:  # the first one warms up
            feeding.append(fed - start)
            training.append(time.perf_counter() - fed)
    return statistics.median(feeding), statistics.median(training)


class Starts(Callback):
    """When each training batch began."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_train_batch_start(self, *_) -> None:
        self.at.append(time.perf_counter())


def trained(data: Task, model: tuple[type[Network], dict], steps: int) -> float:
    """Median seconds from one batch of the Trainer to the next, its feeding included."""
    starts = Starts()
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        callbacks=[starts],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(learner_of(data, model), datamodule=data)
    return statistics.median(b - a for a, b in pairwise(starts.at))


def usual(data: Task) -> Iterator:
    """The same images by a Dataset with transforms and a DataLoader, as torchvision's examples have it."""
    from torchvision import transforms

    steps = transforms.Compose([transforms.ToPILImage(), transforms.ToTensor()])
    stored = data.train_dataloader()
    high, wide, channels = data.shape
    images = stored.x.view(-1, high, wide, channels).permute(0, 3, 1, 2)
    items = [(image, int(label)) for image, label in zip(images, stored.y, strict=True)]
    loader = torch.utils.data.DataLoader(
        items, 128, shuffle=True, collate_fn=lambda b: _stacked(b, steps)
    )
    return endless(loader)


def _stacked(batch, transform) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([transform(x) for x, _ in batch]), torch.tensor([y for _, y in batch])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default="data")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--torchvision", action="store_true")
    parser.add_argument("tasks", nargs="*", metavar="task", help=", ".join(CASES))
    options = parser.parse_args()
    quieten()
    keep_freed_memory()
    print(f"{torch.get_num_threads()} threads, medians of {options.rounds}\n", flush=True)
    print(
        "| task | model | batch ms | bare step ms | share | train.py's step ms | share |"
        + " torchvision ms |" * options.torchvision
    )
    for name in options.tasks or CASES:
        kind, choices, model = CASES[name]
        rooted = (
            {}
            if kind in (MNIST, SeqMNIST, NoisyPadded, Copy, Adding, Teacher)
            else {"root": options.root}
        )
        data = kind(**choices, **rooted)
        try:
            stand_in = load(data)
        except DataError as error:
            print(f"| {name} | left out: {error} |")
            continue
        fed, step = measured(endless(data.train_dataloader()), stepper(data, model), options.rounds)
        network = f"{model[0].__name__} {model[1].get('depth', 1)} × {model[1]['hidden']}"
        whole = trained(data, model, options.rounds + 1)
        row = f"| {name}{stand_in} | {network} | {1e3 * fed:.3f} | {1e3 * step:.1f} | {fed / (fed + step):.2%} |"
        row += f" {1e3 * whole:.1f} | {fed / whole:.2%} |"
        if options.torchvision and hasattr(data, "shape"):
            row += f" {1e3 * measured(usual(data), None, 5)[0]:.1f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
