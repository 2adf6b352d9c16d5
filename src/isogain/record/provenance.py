"""The code and the versions that produced a run."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("isogain", "torch", "pytorch-lightning", "hydra-core")


def versions() -> str:
    """Python's and the main packages' versions, in one string."""
    return ", ".join(
        [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    )


def git_commit() -> str | None:
    """The commit of the source tree, with `+` if it has uncommitted changes; None outside a checkout."""
    root = Path(__file__).parents[3]
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return None  # installed somewhere below another project's checkout
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
