"""The reader of `choices.yaml`: the name that a run's config has in each group."""

from functools import lru_cache
from pathlib import Path

from isogain.record import bounded
from isogain.record.bounded import Damaged
from isogain.record.bounded_yaml import parsed

NAME = "choices.yaml"


def read_choices(folder: Path) -> dict[str, str]:
    """Group -> name; raises FileNotFoundError and Damaged."""
    return _choices(bounded.text(folder / NAME))


@lru_cache(maxsize=256)  # runs of a sweep share them
def _choices(text: str) -> dict[str, str]:
    path = Path(NAME)
    choices = parsed(text, path)
    if not isinstance(choices, dict):
        raise Damaged(path, "holds no keys")
    return {str(k): str(v) for k, v in choices.items() if v is not None}
