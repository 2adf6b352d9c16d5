"""An epoch of SeqMNIST rows (48 000 images, then 12 000 for validation), RNN 128, batch 128, several ways.

    python benchmarks/epoch.py [--rounds 5] [--torchvision] [overrides of train.py ...]

"train.py" has everything on that is on by default: bar, metrics.csv, W&B offline, checkpoints, diagnostics,
penalty. The bare loops log nothing and use the same fused Adam. Between two epochs of train.py each of them
runs one of its own, so that a machine that drifts hits all alike. `--torchvision` adds the usual dataset with
transforms and a DataLoader.
"""

import argparse
import lzma
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from recurrence import TorchNet
from rounds import interleaved, seconds, table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from isogain import launch
from isogain.config.check import parts
from isogain.data.mnist import SeqMNIST
from isogain.init import orthogonal_
from isogain.models.rnn import RNN
from isogain.reg.penalty import Soft
from isogain.training.run import run

ROOT = Path(__file__).parents[1]
Batches = Iterable[tuple[Tensor, Tensor]]
Epoch = Callable[[], None]


class Clock(pl.Callback):
    """Times the epochs of the run it is in, everything between two starts, and lets the others run in between."""

    def __init__(self, name: str, others: dict[str, Epoch]) -> None:
        self.name, self.others = name, others
        self.times: dict[str, list[float]] = {name: [] for name in (name, *others)}
        self.started: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """The epoch before ends here, with its validation and its checkpoint."""
        if self.started is not None:
            self.times[self.name].append(time.perf_counter() - self.started)
            for name, epoch in self.others.items():
                self.times[name].append(seconds(epoch))
        self.started = time.perf_counter()


def bare(
    net: nn.Module, train: Batches, val: Batches, penalise: Callable[[], None] | None = None
) -> Epoch:
    """A plain PyTorch training loop with validation; `penalise` adds to the gradients."""
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        for x, y in train:
            optimiser.zero_grad()
            cross_entropy(net(x), y).backward()
            if penalise is not None:
                with torch.no_grad():
                    penalise()
            optimiser.step()
        with torch.no_grad():
            sum((net(x).argmax(-1) == y).sum() for x, y in val)

    return epoch


class Rows:
    """A DataLoader's images (B, 1, 28, 28) as sequences of rows."""

    def __init__(self, loader: torch.utils.data.DataLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x[:, 0], y) for x, y in self.loader)


def torchvision_batches(data: SeqMNIST, workers: int = 0) -> tuple[Batches, Batches]:
    """The pipeline of PyTorch's own MNIST example over the same files."""
    from torchvision import datasets, transforms

    root = Path(tempfile.mkdtemp())
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in data.root.glob("*.xz"):
        (raw / path.stem).write_bytes(lzma.decompress(path.read_bytes()))
    usual = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    images = datasets.MNIST(root, train=True, transform=usual)
    train, val = torch.utils.data.random_split(images, [48_000, 12_000])
    how = {"num_workers": workers, "persistent_workers": workers > 0}
    return (
        Rows(torch.utils.data.DataLoader(train, batch_size=128, shuffle=True, **how)),
        Rows(torch.utils.data.DataLoader(val, batch_size=500, **how)),
    )


def feeding(data: SeqMNIST) -> dict[str, list[float]]:
    """Seconds to draw all training batches of an epoch and do nothing with them."""
    slow, _ = torchvision_batches(data)
    loaders = {"isogain, in memory": data.train_dataloader(), "torchvision + DataLoader": slow}
    return interleaved({name: lambda b=b: sum(1 for _ in b) for name, b in loaders.items()}, 3)


def alternatives(with_torchvision: bool) -> dict[str, Epoch]:
    """One epoch of each way but train.py's."""
    data = SeqMNIST()
    data.load()
    train, val = data.train_dataloader(), data.val_dataloader()
    same, penalised = RNN(28, 10, 28), RNN(28, 10, 28)
    for net in (same, penalised):
        orthogonal_(net.recurrent)
    penalty = Soft(strength=1e-3)
    found = {
        "bare loop, nn.RNN": bare(TorchNet(nn.RNN(28, 128, batch_first=True)), train, val),
        "bare loop, same network": bare(same, train, val),
        "bare loop, same network and penalty": bare(
            penalised, train, val, lambda: penalty.before_step(penalised.recurrent)
        ),
    }
    if with_torchvision:
        for workers in (0, 2):
            slow = TorchNet(nn.RNN(28, 128, batch_first=True))
            name = f"torchvision + DataLoader, {workers} workers, nn.RNN"
            found[name] = bare(slow, *torchvision_batches(data, workers))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torchvision", action="store_true")
    parser.add_argument(
        "overrides", nargs="*", help="for train.py, e.g. logger=csv callbacks=minimal"
    )
    options = parser.parse_args()
    launch.quieten()
    out = tempfile.mkdtemp()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        fixed = [f"trainer.max_epochs={options.rounds + 1}", f"out={out}"]
        config = compose("train", [*options.overrides, *fixed])
    built = parts(config)
    clock = Clock("train.py", alternatives(options.torchvision))
    run(**built | {"callbacks": {"clock": clock, **built["callbacks"]}})
    print(f"\n{torch.get_num_threads()} threads, seconds an epoch, {options.rounds} rounds\n")
    for base in list(clock.others)[:2]:
        print(table(clock.times, base, 1, "s"), "\n")
    if options.torchvision:
        print("feeding alone\n")
        print(table(feeding(built["data"]), "isogain, in memory", 1e-3, "ms"))


if __name__ == "__main__":
    main()
