"""What the default callbacks cost a training: seconds an event, over the training steps from one event to the next.

    python benchmarks/callbacks.py [--rounds 3] [rnn-rows rnn-pixels mlp-200x400 lstm-pixels]

Every callback of conf/callbacks/isometry.yaml measures as it does in training, on the data's probe batch and into a
run folder. Its share is its time over that of `every` training steps at batch 128: forward, backward and fused Adam,
the least that a step takes. At gain 1.5 most Jacobians are too ill-conditioned for float32, and measured exactly.
With --busy, for a machine that does other work too, all run on one thread and its own seconds are counted.

The goal is 5 % for all together, but for an LSTM, which has none. One event at step 0 and one at the end come on top.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import torch
from diagnostics import CASES, training_step
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning import Callback
from pytorch_lightning.plugins.precision import Precision
from rounds import clock_for, interleaved
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrize import cached

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.gradients import GradientNorms
from isogain.data.mnist import SeqMNIST
from isogain.init import orthogonal_
from isogain.optim import Adam
from isogain.record.logger import RunRecord
from isogain.reg.base import Regularizer
from isogain.training.learner import Learner

CONF = Path(__file__).parents[1] / "conf"
WORKLOADS = {  # of benchmarks/diagnostics.py, and the order of MNIST
    "rnn-rows": ("rnn", "rows"),
    "rnn-pixels": ("rnn", "pixels"),
    "mlp-200x400": ("mlp", "rows"),
    "lstm-pixels": ("lstm", "pixels"),
}


def default_callbacks() -> dict[str, Callback]:
    """Those of callbacks=isometry that measure, by their names."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["callbacks=isometry"]).callbacks
    built = {name: instantiate(node) for name, node in config.items()}
    return {k: c for k, c in built.items() if isinstance(c, Diagnostic | GradientNorms)}


def event(callback: Callback, trainer: SimpleNamespace, learner: Learner) -> Callable[[], None]:
    """One measurement."""
    optimizer = torch.optim.Adam(learner.parameters())  # read where there is a loss scale

    def measure() -> None:
        with cached():
            if isinstance(callback, Diagnostic):
                callback.measure(trainer, learner)
            else:
                callback.on_before_optimizer_step(trainer, learner, optimizer)

    return measure


def compare(
    workload: str, gain: float, rounds: int, clock: Callable[[], float], folder: Path
) -> None:
    """Print one table."""
    network, order = WORKLOADS[workload]
    data = SeqMNIST(order=order)
    data.load()
    net = CASES[network].build(data.n_in, data.length)
    init = partial(orthogonal_, gain=gain)
    learner = Learner(net, init, Regularizer(), Adam(), cross_entropy)
    trainer = SimpleNamespace(
        is_global_zero=True, loggers=[RunRecord(folder)], current_epoch=0, global_step=0
    )
    trainer.precision_plugin = Precision()  # has no loss scale
    trainer.datamodule = data
    callbacks = default_callbacks()
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    calls = {"training step": training_step(copy.deepcopy(net), data)}  # at gain 1.5 it diverges
    calls |= {name: event(c, trainer, learner) for name, c in callbacks.items()}
    times = {name: statistics.median(s) for name, s in interleaved(calls, rounds, clock).items()}
    step = times.pop("training step")
    shares = {name: s / (callbacks[name].every.count * step) for name, s in times.items()}
    exact = learner.metrics["jacobian/exact"]
    print(f"\n{workload}, gain {gain:g}: a step {1000 * step:.1f} ms, exact {exact:.0%}\n")
    print("| callback | every | event, s | in steps | % of training |\n|---|---|---|---|---|")
    for name, s in times.items():
        every = callbacks[name].every.count
        print(f"| {name} | {every} | {s:.3f} | {s / step:.1f} | {100 * shares[name]:.2f} |")
    print(f"| all | | | | {100 * sum(shares.values()):.2f} |", flush=True)


def main() -> None:
    """Two tables a workload."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gains", type=float, nargs="+", default=[1.0, 1.5])
    parser.add_argument("--busy", action="store_true", help="one thread, and CPU time")
    options = parser.parse_args()
    clock = clock_for(options.busy)
    for workload in options.workloads or WORKLOADS:
        for gain in options.gains:
            with TemporaryDirectory() as folder:
                compare(workload, gain, options.rounds, clock, Path(folder))


if __name__ == "__main__":
    main()
