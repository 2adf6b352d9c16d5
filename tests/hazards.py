"""What befalls a run on a cluster, as a callback that chosen seeds meet; and a run slow enough to be met by it."""

import os
import signal
import time
from typing import Any

import pytorch_lightning as pl


class Hazard(pl.Callback):
    """The third step of seed `raises` raises, of seed `killed` it ends the process; all take `pause` seconds more."""

    def __init__(
        self, seed: int = -1, raises: int = -2, killed: int = -2, pause: float = 0.0
    ) -> None:
        self.seed, self.raises, self.killed, self.pause = seed, raises, killed, pause

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        time.sleep(self.pause)
        if trainer.global_step == 3 and self.seed == self.raises:
            raise RuntimeError("a hazard of the third step")
        if trainer.global_step == 3 and self.seed == self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
