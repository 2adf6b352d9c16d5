"""A method that a user's subclass lacks is named."""

import pytest
import torch
from runs import composed

from isogain.config.check import parts
from isogain.config.errors import ConfigError
from isogain.data.batches import Stream
from isogain.data.task import Task
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.training.preflight import rehearse


class Mine(Network):
    """A network without its methods."""

    sequential = True


def test_a_network_without_kernels_is_refused_by_name_before_anything_is_built():
    options = (
        f"model._target_={__name__}.Mine",
        "~model.activation",
        "~model.input_init",
        "out=run",
    )
    with pytest.raises(ConfigError, match=r"^model: Mine\.kernels is not written$"):
        rehearse(**parts(composed(*options)))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: Mine(1, 1, 1, 1, 1).steps(torch.zeros(1), torch.zeros(1)), "Mine.steps"),
        (lambda: Mine(1, 1, 1, 1, 1).entry(torch.zeros(1)), "Mine.entry"),
        (lambda: Task(1, 1, 0, 0).streams("cpu"), "Task.streams"),
        (lambda: Stream().batch(0), "Stream.batch"),
        (lambda: Optim(1, None, None, None, "constant")(None, None), "Optim.__call__"),
    ],
)
def test_a_method_that_is_not_written_is_named(call, name):
    with pytest.raises(NotImplementedError, match=rf"^{name} is not written$"):
        call()
