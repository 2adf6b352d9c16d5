"""Trains every regulariser on a share of the examples; test_ddp.py runs two such processes that train together."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from cases import part, regularizers
from torch import Tensor
from toys import Toy, fitted, learner

from isogain.callbacks.gradients import GradientNorms, SignalGradients
from isogain.callbacks.jacobian import JacobianSpectrum
from isogain.callbacks.weights import OrthogonalityGap, WeightSpectrum
from isogain.optim import Adam

STEPS, RANKS, BATCH = 20, 2, 8
CASES = regularizers(1.1) | {
    f"{name}-learned": part("reg", name, "learned", _partial_=True)
    for name in ("manifold", "oblique")
}


class Share(Toy):
    """What some of the processes are given of the 16 examples of each step: 8 for each."""

    def __init__(self, *ranks: int) -> None:
        super().__init__(STEPS * RANKS * BATCH, BATCH * len(ranks))
        places = torch.arange(len(self.y)).view(STEPS, RANKS, BATCH)[:, ranks].flatten()
        self.x, self.y = self.x[places].double(), self.y[places]


def diagnostics() -> list[pl.Callback]:
    """What looks at the run of the regulariser `none` that is called "diagnosed"."""
    return [
        JacobianSpectrum(5, 3),
        SignalGradients(5, 3),
        WeightSpectrum(5),
        OrthogonalityGap(5),
        GradientNorms(5),
    ]


def trained(
    name: str,
    out: Path,
    *ranks: int,
    seed: int = 0,
    callbacks: Sequence[pl.Callback] = (),
    **options: Any,
) -> dict[str, Tensor]:
    """Kernel, parameters and buffers after 20 steps of Adam on the shares of `ranks`, in float64."""
    torch.manual_seed(seed)
    optim = Adam(lr=0.01, gain_lr=0.02, schedule="constant")
    model = learner(CASES[name](), optim).double()
    fitted(out, callbacks, Share(*ranks), model, max_epochs=1, limit_val_batches=0, **options)
    return {"kernel": model.net.recurrent.detach()} | model.state_dict()


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    together = {"devices": RANKS, "strategy": "ddp"}
    found = {name: trained(name, out / name, rank, seed=rank, **together) for name in CASES}
    found["diagnosed"] = trained(
        "none", out / "diagnosed", rank, seed=rank, callbacks=diagnostics(), **together
    )
    torch.save(found, out / f"{rank}.pt")
