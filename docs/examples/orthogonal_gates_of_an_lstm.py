"""Orthogonal gates in nn.LSTM: each of the four recurrent matrices stays orthogonal, and what a gradient meets."""

import torch
from torch import nn
from torch.nn.functional import mse_loss

import isogain as ig

torch.manual_seed(0)
lstm, readout = nn.LSTM(1, 32, batch_first=True), nn.Linear(32, 1)
with torch.no_grad():
    ig.orthogonal_(lstm.weight_hh_l0, blocks=4)  # a matrix a gate: input, forget, cell, output

optimizer = torch.optim.Adam([*lstm.parameters(), *readout.parameters()], lr=3e-3)
handle = ig.regularize(optimizer, lstm, ig.Stiefel())
through_time = ig.along(lstm, over="time")
x = torch.randn(64, 20, 1)
y = x[:, :5].sum(1)  # to be remembered for fifteen steps

for step in range(101):
    loss = mse_loss(readout(lstm(x)[0][:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        logs = ig.jacobian_spectrum(through_time, x[:2])
        gap = max(g.max().item() for g in handle.gap().values())
        print(
            f"step {step:3d}  loss {loss.item():.3f}  gap {gap:.1e}  largest and median singular value of the state's "
            f"Jacobian over 20 steps: {logs.max().exp():.2f}, {logs.median().exp():.1e}"
        )
