"""What a run says of itself on the terminal: a table at its start and one at its end."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from isogain.config import shell
from isogain.diagnostics.kernel_labels import named_kernels
from isogain.init.initialiser import Initialiser
from isogain.training.learner import Learner


def start_table(
    learner: Learner,
    data: pl.LightningDataModule,
    device: torch.device,
    init: Initialiser,
    others: Mapping[str, Any],
) -> str:
    """Model, kernels, parameters, init, reg, data, optimiser, device and `others`, a line each."""
    net, optim = learner.net, learner.optim
    kernels = ", ".join(f"{name} {tuple(w.shape)}" for name, w in named_kernels(net))
    clip = f", clip {optim.grad_clip:g}" if optim.grad_clip else ""
    rates = f"lr {optim.lr:g}, kernels {optim.kernel_lr:g}{clip}, {optim.schedule}"
    parameters = sum(p.numel() for p in net.parameters())
    train = data.train_dataloader()
    rows = {
        "model": f"{type(net).__name__} {net.depth} × {net.hidden}, {parameters:,} parameters",
        "kernels": kernels,
        "init": f"{init.name} {_options(init.options)}",
        "reg": f"{type(learner.reg).__name__} {_options(learner.reg.options())}",
        "data": f"{type(data).__name__} {data.length} × {data.n_in}, {train.examples:,} examples, {len(train)} batches",
        "optim": f"{type(optim).__name__} {rates}",
        "device": device_name(device),
    }
    return table(rows | others)


def end_table(summary: Mapping[str, Any], folder: Path) -> str:
    """Accuracy or loss, orthogonality gap, the Jacobian's spread, and where to look."""
    shown = {
        "status": summary["status"] + (f": {summary['error']}" if "error" in summary else ""),
        "test accuracy": _percent(summary.get("test/acc")),
        "test loss": _loss(summary),
        "validation": _validation(summary),
        "orthogonality gap": _gap(summary),
        "Jacobian spread": _spread(summary),
        "Jacobian mean s²": _number(summary.get("jacobian/mean_square")),
        "time": f"{summary['seconds']:.1f} s" + _rate(summary.get("examples_per_second")),
        "folder": str(folder),
    }
    runs = sorted((folder / "wandb").glob("*run-*"))
    if runs:
        shown["curves"] = shell.command("wandb", "leet", runs[-1])
    return table({name: value for name, value in shown.items() if value})


def table(rows: Mapping[str, Any]) -> str:
    """Two columns, the first as wide as its longest name."""
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows.items())


def device_name(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _loss(summary: Mapping[str, Any]) -> str:
    """The test loss, where there is no accuracy to speak for it or a baseline to hold it against."""
    if "test/loss" not in summary or {"test/acc", "baseline/loss"} & summary.keys() == {"test/acc"}:
        return ""
    baseline = _number(summary.get("baseline/loss"))
    return _number(summary["test/loss"]) + (f", baseline {baseline}" if baseline else "")


def _validation(summary: Mapping[str, Any]) -> str:
    """Of the final weights, and the best with the epoch and step that it is of."""
    if "val/acc" in summary or "val/acc_best" in summary:
        last, best = _percent(summary.get("val/acc")), _percent(summary.get("val/acc_best"))
    else:
        last, best = _number(summary.get("val/loss")), ""
    when = f"epoch {summary['epoch_best'] + 1}" if "epoch_best" in summary else ""
    when += f", step {summary['step_best']}" if "step_best" in summary else ""
    shown = ", ".join(filter(None, [last, best and f"best {best} ({when})"]))
    return shown or ("none" if summary["status"] == "finished" else "")


def _gap(summary: Mapping[str, Any]) -> str:
    """The gap, the gain it is measured against, and what the constraint had to do for it."""
    if "gap/final" not in summary:
        return ""
    text = "final {gap/final:.2e}, worst {gap/worst:.2e}, at gain {gain:.4g}"
    text += " (learned, {gain/min:.4g} … {gain/max:.4g})" if "gain/min" in summary else ""
    text += ", SVD fall-backs {reg/svd_fallbacks}" if "reg/svd_fallbacks" in summary else ""
    text += ", steps shortened {reg/shortened}" if "reg/shortened" in summary else ""
    return text.format(**summary)


def _spread(summary: Mapping[str, Any]) -> str:
    """The singular values of ∂h_L/∂h_0: the largest, the median, and where nine in ten lie."""
    if "jacobian/log_max" not in summary:
        return ""
    low, median, high = (summary[f"jacobian/{q}"] for q in ("q05", "q50", "q95"))
    largest = math.exp(summary["jacobian/log_max"])
    return f"s up to {largest:.3g}, median {median:.2g}, 90 % in {low:.2g} … {high:.2g}"


def _rate(value: float | None) -> str:
    return "" if value is None else f", {value:,.0f} examples/s"
