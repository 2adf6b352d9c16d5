"""`hydra/launcher=one_by_one` (cluster=none): the points of a sweep one after the other, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn

from isogain.record.sweep_json import enlist, numbered_points


@dataclass
class OneByOneConf:
    """Nothing to set."""

    _target_: str = "hydra_plugins.isogain.serial_launcher.OneByOneLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="one_by_one", node=OneByOneConf, provider="isogain"
)


class OneByOneLauncher(BasicLauncher):
    """Hydra's own, with the points in `sweep.json`, whichever sweeper they are from."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        points = numbered_points(job_overrides, initial_job_idx)
        enlist(Path(self.config.hydra.sweep.dir), points, "none")
        return super().launch(job_overrides, initial_job_idx)
