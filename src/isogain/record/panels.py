"""The names of metrics that dashboards show, once for the local board and for Weights & Biases."""

from typing import NamedTuple


class Panel(NamedTuple):
    """A scalar over training: its key in metrics.csv and at W&B, its label, and whether its axis is logarithmic."""

    name: str
    label: str
    log: bool = False


LEARNING = (
    Panel("train/loss", "training loss, mean over examples", log=True),
    Panel("val/loss", "validation loss, mean over examples", log=True),
    Panel("train/penalty", "penalty of the kernels, at its strength at this time", log=True),
    Panel("train/acc", "training accuracy (share of examples)"),
    Panel("val/acc", "validation accuracy (share of examples)"),
)
QUANTILES = tuple(
    Panel(f"jacobian/q{q}", f"singular values of ∂h_L/∂h_0, {int(q)} % quantile", log=True)
    for q in ("05", "25", "50", "75", "95")
)
ISOMETRY = (
    Panel("gap/max", "orthogonality gap ‖WᵀW/g² − I‖_F/√n, largest", log=True),
    Panel("jacobian/mean_square", "mean of s² of ∂h_L/∂h_0", log=True),
    Panel("jacobian/log_condition", "ln condition number of ∂h_L/∂h_0, median over examples"),
    Panel("jacobian/log_max", "ln of the largest singular value of ∂h_L/∂h_0"),
)
GRADIENTS = (
    Panel("signal_grad/log_first", "ln ‖∂loss/∂h_0‖, at the input"),
    Panel("signal_grad/log_last", "ln ‖∂loss/∂h_L‖, at the output"),
)
PANELS = LEARNING + QUANTILES + ISOMETRY + GRADIENTS

BY_LAYER = {  # prefix of names that end in a layer, gate or parameter -> what they are
    "grad": "‖gradient‖ of the loss by parameter",
    "grad_ratio": "‖gradient‖/‖weight‖",
    "gap": "orthogonality gap by matrix",
}
PROFILE = "signal_grad/log"  # in spectra.npz: ln ‖∂loss/∂h_l‖ at every layer or time step l
SPECTRA = (  # in spectra.npz, and at W&B histograms; the weights of an RNN and an LSTM, and of an MLP
    "jacobian/spectrum",
    "factors/spectrum",
    "weights/recurrent",
    "weights/kernel",
)
HEAT_MAP = "heat_map"  # NAME/heat_map at W&B: the image of NAME's histograms over training

AXES = ("model.depth", "init.gain")  # what a depth × gain figure has as its axes
OUTCOMES = ("test/acc", "val/acc_best", "gap/final", "jacobian/mean_square")  # keys of a summary
