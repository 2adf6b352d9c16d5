"""The vanilla recurrence h_t = φ(U x_t + W h_{t−1} + b) with a hand-written backward pass through
time.

Axes: T time steps, B batch, D features a step, N units. About 0.55 to 0.7 of the time of `nn.RNN`
on a CPU, for three reasons: one product projects the whole input, the recurrent steps work in place
in one (T + 1, B, N) buffer, and the weights' gradients are one product each instead of T products
with additions. `benchmarks/recurrence.py` measures it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isogain.activations import ACTIVATIONS


class Recurrence(torch.autograd.Function):
    """(x, U, W, b, β, φ's name, last) -> h_T (B, N) if `last`, else [h_1 … h_T] (T, B, N); h_0 = 0.

    Shapes: x (T, B, D), U (N, D), W (N, N), b (N,), β (N,) for modrelu and None for the others.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        u: Tensor,
        w: Tensor,
        b: Tensor,
        beta: Tensor | None,
        phi: str,
        last: bool,
    ) -> Tensor:
        steps, batch, features = x.shape
        out = x.new_empty(steps + 1, batch, len(w))
        out[0].zero_()
        x = x.reshape(steps * batch, features)
        torch.addmm(b, x, u.mT, out=out[1:].view(steps * batch, len(w)))
        function_, beta_ = ACTIVATIONS[phi].function_, () if beta is None else (beta,)
        before, *after = out.unbind()
        transposed = w.mT.contiguous()
        slopes = None if ACTIVATIONS[phi].slope else torch.empty_like(out[1:])
        for t, h in enumerate(after):
            h.addmm_(before, transposed)
            if slopes is not None:
                slopes[t] = ACTIVATIONS[phi].derivative(h)
            function_(h, *beta_)
            before = h
        ctx.save_for_backward(x, u, w, out, slopes)
        ctx.phi, ctx.last, ctx.has_beta = phi, last, beta is not None
        return before.clone() if last else out[1:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, u, w, out, slopes = ctx.saved_tensors
        # becomes ∂loss/∂z_t, from the last step to the first
        slope = ACTIVATIONS[ctx.phi].slope
        delta = slope(out[1:]) if slopes is None and slope is not None else slopes.clone()
        _backpropagate_(delta, w, grad, ctx.last)
        flat = delta.flatten(0, 1)
        grad_x = (flat @ u).view(*delta.shape[:2], -1) if ctx.needs_input_grad[0] else None
        grad_beta = (delta * out[1:].sign()).sum((0, 1)) if ctx.has_beta else None
        grad_w = flat.mT @ out[:-1].flatten(0, 1)
        return grad_x, flat.mT @ x, grad_w, flat.sum(0), grad_beta, None, None


def _backpropagate_(delta: Tensor, w: Tensor, grad: Tensor, last: bool) -> None:
    """Multiply φ'(z_t) in `delta` by ∂loss/∂h_t, carried back by δ_t W; `grad` is for h_T alone, or for every h_t."""
    carried, buffer = (grad if last else grad[-1]), torch.empty_like(delta[0])
    deltas = delta.unbind()
    for t in range(len(deltas) - 1, 0, -1):
        carried = torch.mm(deltas[t].mul_(carried), w, out=buffer)
        if not last:
            carried.add_(grad[t - 1])
    deltas[0].mul_(carried)
