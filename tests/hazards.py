"""What befalls a run on a cluster, as a callback that chosen seeds meet; and a run slow enough to be met by it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from isogain.record.attempts_jsonl import Attempts


class Hazard(pl.Callback):
    """In a run's first attempt the third step of seed `raises` raises, of seed `killed` it ends the process.

    Every step takes `pause` seconds more.
    """

    def __init__(
        self, seed: int = -1, raises: int = -2, killed: int = -2, pause: float = 0.0
    ) -> None:
        self.seed, self.raises, self.killed, self.pause = seed, raises, killed, pause

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        time.sleep(self.pause)
        if trainer.global_step != 3 or self.seed not in (self.raises, self.killed):
            return
        if len(Attempts(Path(trainer.default_root_dir)).events()) > 1:
            return
        if self.seed == self.raises:
            raise RuntimeError("a hazard of the third step")
        if self.seed == self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
