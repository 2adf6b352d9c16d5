"""Masks for secrets: the values of keys that name a secret, and the secrets of this process's environment."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

_NAMES = r"(?:(?:api|access|private|secret)[_-]?key|passw(?:or)?d|pwd|secret|token|credentials?)"
SECRET = re.compile(rf"(?:^|[^a-z]){_NAMES}$", re.I)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"',}]+)"""
ASSIGNED = re.compile(rf"((?<![a-z]){_NAMES})([\"']?\s*[=:]\s*)({_VALUE})", re.I)
OPTION = re.compile(rf"(--?(?:[\w.]+[-_.])?{_NAMES}\s+)({_VALUE})", re.I)  # --api-key X
HEADER = re.compile(r"(\bauthorization[\"']?\s*[=:]\s*[\"']?(?:\w+\s+)?)[^\s\"',}]+", re.I)
BEARER = re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.I)
URL = re.compile(
    r"(\b[a-z][a-z0-9+.-]*://[^\s/@:]*:)[^\s/]*(@)", re.I
)  # scheme://user:password@host
FOLDERS = ("PWD", "OLDPWD")  # of the shell, which match `pwd`: a working folder is no secret
MASK = "•••"
SHORTEST = 6  # letters of a secret that is masked in texts: shorter ones may be words


@lru_cache(maxsize=10_000)
def is_secret(key: str) -> bool:
    """Whether a key names a secret: WANDB_API_KEY and hub.token do, data.tokens and PWD do not."""
    return key not in FOLDERS and bool(SECRET.search(key))


def masked(node: Any, secrets: Sequence[str] | None = None) -> Any:
    """`node`, a tree of dicts, lists and values, with MASK for values of secret keys and `masked_text` for texts."""
    if node is None or isinstance(node, int | float):
        return node
    secrets = environment() if secrets is None else secrets
    if isinstance(node, str):
        return masked_text(node, secrets)
    if isinstance(node, Mapping):
        return {k: MASK if is_secret(str(k)) and v else masked(v, secrets) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [masked(value, secrets) for value in node]
    return node


def masked_text(text: str, secrets: Sequence[str] | None = None) -> str:
    """A text in which secrets are replaced by MASK.

    These are `secrets` (by default those of the environment), values assigned to names that are `is_secret`, headers
    for authorisation, and passwords in addresses.
    """
    if not text:
        return text
    for secret in environment() if secrets is None else secrets:
        text = text.replace(secret, MASK)
    if text.isalnum():
        return text
    text = ASSIGNED.sub(_with_mask, text)
    text = URL.sub(rf"\g<1>{MASK}\g<2>", text)
    for pattern in (OPTION, HEADER, BEARER):
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def environment() -> list[str]:
    """The values of environment variables that name a secret, the longest first."""
    values = {v for k, v in os.environ.items() if is_secret(k) and len(v) >= SHORTEST}
    return sorted(values, key=len, reverse=True)


def _with_mask(match: re.Match) -> str:
    name, between, value = match.groups()
    return f"{name}{between}{value if name in FOLDERS else MASK}"
