"""What an object knows between two moments of a step and is no part of it: its copies and pickles begin without."""

from typing import Any

from torch.utils.weak import WeakTensorKeyDictionary


class Transient:
    """A dictionary whose copies and pickles are empty."""

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Transient":
        return type(self)()


class ByTensor(Transient, WeakTensorKeyDictionary):
    """Values by the tensor that they belong to, which a copy of it is not; gone with it."""


class ByAddress(Transient, dict):
    """Values by where a tensor's memory begins.

    Breaks when that memory is freed and taken by another tensor, which then has the value: for what a wrong
    value costs nothing but time.
    """
