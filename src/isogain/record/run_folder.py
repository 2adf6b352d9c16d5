"""A run's folder: its name cannot collide, exactly one run claims it, and the run leaves a summary at its end."""

import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isogain.config import shell
from isogain.config.errors import ConfigError
from isogain.record.atomic import alone, append, is_regular, remove_parts, replaced, set_aside
from isogain.record.attempts_jsonl import Attempts
from isogain.record.held_folder import HeldFolder
from isogain.record.summary_json import write_summary

log = logging.getLogger(__name__)


def fresh_folder(parent: str = "multirun") -> str:
    """A path under `parent` that no other run has: time, process and 32 random bits."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return os.path.join(parent, f"{stamp}_{os.getpid():x}-{secrets.token_hex(4)}")


def ways_on(out: str | Path) -> str:
    """How to go on with the run, or the sweep, in the folder `out`."""
    return f"the same command with {shell.override('out', out)} resume=true goes on"


class RunFolder:
    """`path` holds what one run leaves behind; `config.yaml` in it marks it as claimed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempts = Attempts(path)
        self.held = HeldFolder(path)
        self.claimed = False

    def claim(
        self,
        config: DictConfig,
        overrides: Sequence[str],
        resume: bool,
        choices: Mapping[str, str | None] | None = None,
        step: int = 0,
    ) -> None:
        """Write config.yaml, overrides.yaml and choices.yaml; of two runs that try at once, one gets the folder.

        `choices`: group -> name. `step` is where training goes on. Raises ConfigError where the folder holds a run
        already and this one does not resume it, where another process is at work in it, or where it cannot be written.
        """
        texts = _descriptions(config, overrides, choices)
        self._make(resume)
        self._start(step)
        for folder in (self.path, self.path / "checkpoints"):
            remove_parts(folder)
        for name, text in texts.items():
            _set_aside_unless_regular(self.path / name)
            with replaced(self.path / name) as part:
                part.write_text(text)
        _set_aside_unless_regular(self.path / "summary.json")
        (self.path / "summary.json").unlink(missing_ok=True)  # of the attempt that is resumed

    def _start(self, step: int) -> None:
        """Put an attempt on record; raises ConfigError where another process is at work in the folder."""
        self.attempts.set_aside_damage(step)
        with alone(self.attempts.path):  # of two that resume it at once, one sees the other
            if pid := self.attempts.at_work():
                raise ConfigError(
                    f"out={self.path}: process {pid} is at work in it; wait until it ends, or end it"
                )
            self.claimed = True
            self.attempts.start(step)

    def _make(self, resume: bool) -> None:
        """Make the folder and `config.yaml` in it, the mark of a folder that a run has claimed."""
        mark = self.path / "config.yaml"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.held = HeldFolder(self.path)
            if resume and not mark.is_dir():
                _set_aside_unless_regular(mark)
            mark.open("a" if resume else "x").close()
        except FileExistsError as error:
            if error.filename == str(self.path):
                raise ConfigError(f"out={self.path}: cannot be written (not a folder)") from None
            raise ConfigError(
                f"out={self.path}: holds a run already; choose another, or resume=true"
            ) from None
        except OSError as error:
            raise ConfigError(f"out={self.path}: cannot be written ({error.strerror})") from None

    def end(self, summary: dict[str, Any]) -> None:
        """The end of an attempt: summary.json, and a line in attempts.jsonl."""
        self.held.check()
        try:
            self.write_summary(summary)
        finally:
            self.attempts.end(summary["status"], summary.get("steps", 0), summary.get("error"))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """summary.json, whole or absent; what is None or not finite has no key."""
        write_summary(self.path, summary)

    def note(self, text: str) -> None:
        """Add `text` to log.txt, and show it nowhere."""
        self.held.check()
        append(self.path / "log.txt", text.encode(errors="replace"))

    def discard(self) -> None:
        """Remove the folder if nothing but a log lies in it."""
        if not self.path.is_dir() or {p.name for p in self.path.iterdir()} - {"log.txt"}:
            return
        (self.path / "log.txt").unlink(missing_ok=True)
        self.path.rmdir()


def _set_aside_unless_regular(path: Path) -> None:
    """Set aside what is not a regular file: a folder, a pipe, a link."""
    if os.path.lexists(path) and not is_regular(path):
        log.warning("%s: not a file; set aside as %s", path, set_aside(path).name)


def _descriptions(
    config: DictConfig, overrides: Sequence[str], choices: Mapping[str, str | None] | None
) -> dict[str, str]:
    """The texts that describe the run, by file name."""
    texts = {
        "config.yaml": OmegaConf.to_yaml(config, resolve=True),
        "overrides.yaml": OmegaConf.to_yaml(OmegaConf.create(list(overrides))),
    }
    if choices is not None:  # without Hydra's own groups
        ours = {group: name for group, name in choices.items() if "/" not in group}
        texts["choices.yaml"] = OmegaConf.to_yaml(OmegaConf.create(ours))
    return texts
