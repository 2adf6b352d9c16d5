"""The writer of `spectra.npz`: arrays measured at several steps."""

import io
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isogain.record.atomic import replaced, set_aside
from isogain.record.bounded import Damaged, opened

log = logging.getLogger(__name__)


class Arrays:
    """For each name the values (events, ...), `name/step` (events,), the step of each event in rising order,
    `name/axes`, the names of the values' axes, where they have any: "event" and those of an event; and `name/edges`,
    the bin edges of their histogram, where they have one.

    Events stay in memory until the file holds them, whatever error comes while it is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: dict[str, dict[int, np.ndarray]] = {}  # by step
        self.axes: dict[str, tuple[str, ...]] = {}
        self.edges: dict[str, np.ndarray] = {}
        self._written = True

    def add(
        self,
        step: int,
        name: str,
        values: np.ndarray,
        axes: tuple[str, ...] = (),
        edges: np.ndarray | None = None,
    ) -> None:
        """One event; a second one of a step replaces the first. Of another shape than the name's others it goes
        under a name of its own, `name/2x3`.
        """
        values = np.array(values)
        if any(values.shape != other.shape for other in self.events.get(name, {}).values()):
            name = f"{name}/{'x'.join(map(str, values.shape))}"
        if axes:
            self.axes[name] = axes
        if edges is not None:
            self.edges[name] = np.array(edges)
        self.events.setdefault(name, {})[step] = values
        self._written = False

    def flush(self) -> None:
        """Write the whole file again, if there is a new event."""
        if self._written:
            return
        with replaced(self.path) as part, part.open("wb") as file:
            np.savez(file, **dict(self._arrays()))
        self._written = True

    def unwritten(self) -> bool:
        """Whether the file lacks anything."""
        return not self._written

    def extent(self) -> dict[str, dict[str, int]]:
        """By name, how many events there are and the step of the last one: what a checkpoint counts on."""
        return {
            name: {"events": len(events), "last": max(events)}
            for name, events in self.events.items()
        }

    def rewind(self, step: int, extent: Mapping[str, Mapping[str, int]] | None = None) -> None:
        """Continue the file, if there is one, without the events after `step`.

        A file that is damaged, or lacks events of the `extent` it had, is set aside under another name; a line in the
        log says what is lost, and the arrays that can be read are kept.
        """
        there = os.path.lexists(self.path)
        problems = self._read(step) if there else []
        problems += self._lost(extent or {})
        if problems:
            after = f"set aside as {set_aside(self.path).name}" if there else "missing"
            log.warning("%s: %s", self.path, "; ".join([*problems, after]))
        self._written = not self.events and not os.path.lexists(self.path)

    def _read(self, step: int) -> list[str]:
        """Read the events up to `step`; returns a line for each part of the file that cannot be read."""
        try:
            with opened(self.path) as file, zipfile.ZipFile(file) as archive:
                return [*self._read_arrays(archive, step)]
        except Damaged as error:
            return [error.reason]
        except Exception as error:  # of many types, from zipfile and struct
            return [f"cannot be read ({error})"]

    def _read_arrays(self, archive: zipfile.ZipFile, until: int) -> Iterator[str]:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        for name in (n for n in archive.namelist() if f"{n.removesuffix('.npy')}/step" in names):
            name = name.removesuffix(".npy")
            try:
                steps, values = _array(archive, f"{name}/step"), _array(archive, name)
                events = _events(steps, values)
                if f"{name}/axes" in names:
                    axes = _array(archive, f"{name}/axes")[1:].tolist()
                    self.axes[name] = tuple(str(axis) for axis in axes)
                if f"{name}/edges" in names:
                    self.edges[name] = _array(archive, f"{name}/edges")
            except Exception as error:  # of many types, from zipfile, zlib, numpy
                yield f"{name} cannot be read ({type(error).__name__})"
                continue
            if kept := {s: v for s, v in events.items() if s <= until}:
                self.events[name] = kept

    def _lost(self, extent: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
        for name, had in extent.items():
            lost = had["events"] - len(self.events.get(name, {}))
            if lost > 0:
                yield f"{lost} of {had['events']} events of {name} are lost, up to step {had['last']}"

    def _arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, events in self.events.items():
            steps = sorted(events)
            yield name, np.stack([events[step] for step in steps])
            yield f"{name}/step", np.array(steps)
            if name in self.axes:
                yield f"{name}/axes", np.array(["event", *self.axes[name]])
            if name in self.edges:
                yield f"{name}/edges", self.edges[name]


def _events(steps: np.ndarray, values: np.ndarray) -> dict[int, np.ndarray]:
    """Step -> values; raises ValueError where the two do not describe events."""
    if steps.ndim != 1 or steps.dtype.kind not in "iu" or values.dtype.kind not in "biufc":
        raise ValueError("not numbers by step")
    return dict(zip(steps.tolist(), values, strict=True))


def _array(archive: zipfile.ZipFile, name: str) -> Any:
    """One array, read as a whole; it was stored as it is, so that it is no larger than the file."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    return np.lib.format.read_array(io.BytesIO(archive.read(info)), allow_pickle=False)
