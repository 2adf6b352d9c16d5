"""Every test starts from the same seed, whatever ran before it."""

import pytest
import torch

torch.set_num_threads(1)  # the matrices are tiny


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
