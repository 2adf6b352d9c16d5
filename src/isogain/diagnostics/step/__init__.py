"""The derivatives of one step of a trajectory, ∂h_{l+1}/∂h_l and ∂h_{l+1}/∂x_{l+1}, as products with rows and vectors.

`definition` holds them by autograd, which serves every network; `mlp`, `rnn` and `lstm` register formulas that are
faster and lose no digit to saturation. Another model needs none: `pull_.register` and the like take its own.
"""

from isogain.diagnostics.step import lstm, mlp, rnn, traces  # noqa: F401  (to register their formulas)
from isogain.diagnostics.step.definition import (
    pull_,
    pull_input,
    push,
    scaled_factors,
    scaled_input_factors,
)
from isogain.diagnostics.step.factors import Scaled, States

__all__ = [
    "Scaled",
    "States",
    "pull_",
    "pull_input",
    "push",
    "scaled_factors",
    "scaled_input_factors",
]
