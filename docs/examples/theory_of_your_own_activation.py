"""Mean-field theory of an activation of your own: its critical line, and the gain to initialise with."""

import torch

from isogain.theory.meanfield import chi, critical, depth_scales, length_map


def softsign(z: torch.Tensor) -> torch.Tensor:
    """z/(1 + |z|)."""
    return z / (1 + abs(z))


for q in (0.1, 0.5, 2.0):
    sigma_w, sigma_b = critical(softsign, q)
    print(
        f"q* = {q:3.1f}: gain {sigma_w:.4f}, bias {sigma_b:.4f}; chi {chi(softsign, q, sigma_w):.4f}, "
        f"variance a layer later {length_map(softsign, q, sigma_w, sigma_b):.4f}"
    )
print("depth scales of variance and correlation at gain 1.2:", depth_scales(softsign, 1.2, 0.1))
