"""What must not reach a page: values of keys that name a secret, and secrets of this process's environment."""

import os
import re
from collections.abc import Mapping
from typing import Any

_NAMES = r"(?:(?:api|access|private|secret)_?key|passw(?:or)?d|pwd|secret|token|credentials?)"
SECRET = re.compile(rf"(?:^|[^a-z]){_NAMES}$", re.I)
ASSIGNED = re.compile(rf"((?:^|[^a-z]){_NAMES}[\"']?\s*[=:]\s*[\"']?)[^\s\"',}}]+", re.I)
MASK = "•••"
SHORTEST = 6  # of a secret that is looked for in texts: shorter ones are words


def is_secret(key: str) -> bool:
    """Whether a key names a secret: WANDB_API_KEY and hub.token do, data.tokens does not."""
    return bool(SECRET.search(key.replace("-", "_")))


def masked(node: Any) -> Any:
    """`node`, a tree of dicts, lists and values, without the values of secret keys and without `masked_text`'s."""
    if isinstance(node, Mapping):
        return {k: MASK if is_secret(str(k)) and v else masked(v) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [masked(value) for value in node]
    return masked_text(node) if isinstance(node, str) else node


def masked_text(text: str) -> str:
    """A text without the environment's secrets, and without what it assigns to a name that is_secret."""
    if not text:
        return text
    for secret in environment():
        text = text.replace(secret, MASK)
    return ASSIGNED.sub(rf"\g<1>{MASK}", text)


def environment() -> list[str]:
    """The values of environment variables that name a secret."""
    return [v for k, v in os.environ.items() if is_secret(k) and len(v) >= SHORTEST]
