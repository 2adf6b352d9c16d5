"""Train one network, or with -m a sweep of them. `python train.py --help` lists the groups."""

import os
from pathlib import Path

import hydra
from omegaconf import DictConfig

from isogain import launch
from isogain.config.streams import forgiving


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> float:
    """One run: Hydra calls this with the composed config."""
    return launch.job(config)


if __name__ == "__main__":
    # scipy's BLAS reads it as it loads; the cores are torch's, and more threads only spin beside them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with forgiving():
        launch.main(main, Path(__file__).parent / "conf")
