"""nn.Linear in a plain loop: orthogonal all through training, by one line."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import isogain as ig

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
x = torch.randn(512, 20)
y = (x[:, 0] * x[:, 1] > 0).long()

ig.initialize(net, ig.orthogonal_, gain="critical", q_star=0.5)
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
handle = ig.regularize(optimizer, net[2], ig.Stiefel(gain=1.2))

for step in range(201):
    loss = cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        (gap,) = handle.gap().values()
        print(f"step {step:3d}  loss {loss.item():.3f}  gap of the kernel {gap.item():.1e}")
