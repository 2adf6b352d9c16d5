"""Modules that are none of ours, what they are called with, and their Jacobians by torch.func."""

import copy

import torch
from cases import randn
from torch import nn
from torch.func import functional_call, jacrev

B, C = 3, 4  # examples, outputs


class ReadOut(nn.Module):
    """nn.LSTM with a linear read-out of its last step, or of every one."""

    def __init__(self, steps=False):
        super().__init__()
        self.lstm, self.output = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, C)
        self.steps = steps

    def forward(self, x):
        h, _ = self.lstm(x)
        return self.output(h if self.steps else h[:, -1])


class Transformer(nn.Module):
    """A pre-norm encoder with logits of every token."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.5, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.output = nn.Linear(4, C)

    def forward(self, tokens):
        return self.output(self.encoder(self.embedding(tokens)))


class Scaled(nn.Module):
    """Two inputs and a factor that is no tensor."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, C), nn.Linear(3, C, bias=False)

    def forward(self, x, other, factor):
        return self.a(x).tanh() + factor * self.b(other)


def mlp():
    return nn.Sequential(
        nn.Linear(3, 6), nn.Tanh(), nn.Dropout(), nn.Linear(6, 5), nn.ReLU(True), nn.Linear(5, C)
    )


def convolutions():
    return nn.Sequential(
        *[nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(True), nn.AvgPool2d(2)],
        *[nn.Conv2d(4, 2, 2, groups=2, stride=2), nn.Flatten(), nn.Linear(2, C)],
    )


CASES = {
    "mlp": (mlp, lambda: randn(B, 3)),
    "convolutions": (convolutions, lambda: randn(B, 2, 4, 4)),
    "lstm": (ReadOut, lambda: randn(B, 4, 2)),
    "lstm, every step": (lambda: ReadOut(True), lambda: randn(B, 2, 2)),
    "transformer": (Transformer, lambda: torch.randint(5, (B, 2))),
    "arguments": (Scaled, lambda: {"x": randn(B, 2), "other": randn(B, 3), "factor": 0.5}),
    "tuple": (Scaled, lambda: (randn(B, 2), randn(B, 3), 0.5)),
}


def outputs(net, x, weights=None):
    weights = dict(net.named_parameters()) if weights is None else weights
    args, kwargs = ((), x) if isinstance(x, dict) else (x if isinstance(x, tuple) else (x,), {})
    return functional_call(net, weights, args, kwargs)


def jacobian(net, x):
    """∂outputs/∂θ by torch.func, (B, D, P)."""
    plain = copy.deepcopy(net).eval()
    weights = {k: p.detach() for k, p in net.named_parameters() if p.requires_grad}
    with torch.backends.mkldnn.flags(enabled=False):
        j = jacrev(lambda w: outputs(plain, x, w).flatten(1))(weights)
        return torch.cat([v.flatten(2) for v in j.values()], -1), outputs(plain, x).detach()
