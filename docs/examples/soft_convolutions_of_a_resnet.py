"""A ResNet with a soft penalty on its convolutions, each a matrix of filters by their entries."""

import torch
from torch.nn.functional import cross_entropy
from torchvision.models import resnet18

import isogain as ig
from isogain.diagnostics import weight_gaps


def filters(w: torch.Tensor) -> torch.Tensor:
    """(O, I, k, k) -> (O, I·k·k)."""
    return w.flatten(1)


torch.manual_seed(0)
net = resnet18(num_classes=10)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
convolutions = ["*.conv1.weight", "*.conv2.weight"]
handle = ig.regularize(optimizer, net, ig.Soft(0.01), match=convolutions, view=filters)
x, y = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))

for step in range(5):
    gaps = weight_gaps(net, match=convolutions, view=filters)
    print(f"step {step}  largest gap {max(gaps.values()):.2f}  penalty {handle.penalty():.2f}")
    optimizer.zero_grad()
    cross_entropy(net(x), y).backward()
    optimizer.step()
