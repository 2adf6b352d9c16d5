"""Norms of the gradient by layer and gate."""

import torch

from isogain.models.base import Network


def gradient_norms(net: Network) -> dict[str, float]:
    """2-norm of every parameter's gradient; a kernel gives one norm a matrix (layer, gate). Without
    gradient: absent.

    One transfer from the device, however many parameters.
    """
    kernels = {id(w): name for name, w in net.named_kernels()}
    labels, norms = [], []
    for name, p in net.named_parameters():
        if p.grad is None:
            continue
        if id(p) in kernels:
            labels += net.labels(kernels[id(p)], p)
            norms.append(torch.linalg.matrix_norm(p.grad).flatten())
        else:
            labels.append(name.replace(".", "/"))
            norms.append(torch.linalg.vector_norm(p.grad).view(1))
    return dict(zip(labels, torch.cat(norms).tolist(), strict=True)) if labels else {}
