"""Arrays measured at several steps, in one .npz file."""

from pathlib import Path

import numpy as np

from isogain.record.atomic import replaced


class Arrays:
    """For each name the values (events, ...), `name/step` (events,), the step of each event, and `name/axes`.

    The latter are the names of the values' axes, where they have any: "event" and those of an event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.axes: dict[str, tuple[str, ...]] = {}
        self._written = True

    def add(self, step: int, name: str, values: np.ndarray, axes: tuple[str, ...] = ()) -> None:
        """One event; its shape and axes are those of the name's others. A second one of a step replaces the first."""
        if axes:
            self.axes[name] = axes
        events = self.events.setdefault(name, [])
        if (
            events and events[-1][0] == step
        ):  # a resumed run measures anew what came after its checkpoint
            events.pop()
        events.append((step, np.array(values)))
        self._written = False

    def flush(self) -> None:
        """Write the file anew, if there is anything new."""
        if self._written:
            return
        arrays = {}
        for name, events in self.events.items():
            arrays[name] = np.stack([values for _, values in events])
            arrays[f"{name}/step"] = np.array([step for step, _ in events])
            if name in self.axes:
                arrays[f"{name}/axes"] = np.array(["event", *self.axes[name]])
        with replaced(self.path) as part, part.open("wb") as file:
            np.savez(file, **arrays)
        self._written = True

    def rewind(self, step: int) -> None:
        """Take up the file, if there is one, without the events after `step`."""
        if not self.path.exists():
            return
        with np.load(self.path) as arrays:
            for name in (name for name in arrays.files if f"{name}/step" in arrays.files):
                if f"{name}/axes" in arrays.files:
                    self.axes[name] = tuple(arrays[f"{name}/axes"][1:].tolist())
                found = zip(arrays[f"{name}/step"].tolist(), arrays[name], strict=True)
                if kept := [(s, values) for s, values in found if s <= step]:
                    self.events[name] = kept
        self._written = False
