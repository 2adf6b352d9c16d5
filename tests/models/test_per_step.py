"""A network that answers at every step; its laws are in the contract that test_network.py holds every model to."""

import pytest
import torch
from cases import networks, randn

BUILDS = [case for case in networks() if case.values[0].args[0].func.sequential]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore:RNN module weights")  # not one chunk: cuDNN copies them
@pytest.mark.parametrize("build", BUILDS)
def test_a_gpu_answers_as_a_cpu_does(build):
    net, x = build(per_step=True), randn(3, 5, 3)
    expected = net(x)
    torch.testing.assert_close(net.cuda()(x.cuda()).cpu(), expected, rtol=1e-9, atol=1e-10)
