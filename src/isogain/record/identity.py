"""What identifies a run: may one config go on with what another began, and is there anything left to do?

Configs are plain nested dicts with every value filled in: `there` lies in a run folder, `here` comes from the command.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from isogain.config.moved import with_current_names
from isogain.record.config_difference import Difference, walk
from isogain.record.observers import observes
from isogain.record.run_status import Status

# where a run lies and how it is started: not compared
ELSEWHERE = ("out", "resume", "cluster")
# may differ, and is mentioned where it does: how a run is watched, and on which device it computes the same numbers
MAY_DIFFER = {
    "logger",
    "objective",
    "data.root",
    "trainer.accelerator",
    "trainer.benchmark",
    "trainer.detect_anomaly",
    "trainer.deterministic",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.profiler",
    "trainer.strategy",
}
# may differ where their product, the examples of a batch over all processes, is the same
EXAMPLES = {"trainer.devices", "trainer.num_nodes", "data.batch_size"}
# when training ends: may differ, and is mentioned with what it does to schedules
LIMITS = {
    f"trainer.{name}" for name in "max_epochs max_steps max_time min_epochs min_steps".split()
}


class Differences(NamedTuple):
    """How two configs differ: in what makes a step's result, in when training ends, and in what changes neither."""

    conflicts: list[Difference]
    limits: list[Difference]
    others: list[Difference]


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Differences:
    """May `here` go on with what `there` began? It may where there are no `conflicts`.

    Everything is compared but what the lists above name; of callbacks only those that do more than observe are.
    """
    there, here = with_current_names(there), with_current_names(here)
    same_examples = _examples(there) == _examples(here)
    sorted_ = Differences([], [], [])
    for difference in walk(there, here):
        key, group = difference.key, difference.key.partition(".")[0]
        if group in ELSEWHERE:
            continue
        if key in LIMITS:
            sorted_.limits.append(difference)
        elif {key, group} & MAY_DIFFER or (same_examples and key in EXAMPLES):
            sorted_.others.append(difference)
        elif group == "callbacks" and _observed(key, there, here):
            sorted_.others.append(difference)
        else:
            sorted_.conflicts.append(difference)
    return sorted_


def is_over(
    limits: Sequence[Difference], here: Mapping[str, Any], summary: Mapping[str, Any]
) -> bool:
    """Has a run with this summary, whose config has no conflict with `here`, nothing left to do?

    It finished or diverged; where the two differ in `limits`, it has to have finished and to have reached the new ones.
    """
    status = Status.written(summary.get("status"))
    if not limits:
        return status is not None and status.is_good
    reached = any(done >= limit for _, done, limit in _limits(here, summary))
    return status is Status.FINISHED and reached


def beyond(here: Mapping[str, Any], summary: Mapping[str, Any]) -> str | None:
    """The limit of `here` that a run with this summary has passed, in words; None where it has passed none."""
    for unit, done, limit in _limits(here, summary):
        if done > limit:
            return f"it has {done} {unit} behind it, more than trainer.max_{unit}={limit}"
    return None


def schedules(here: Mapping[str, Any]) -> str:
    """What other limits do to the schedules that `here` lays over the whole training, in words; "" without any."""
    optim, reg = (here.get(group) or {} for group in ("optim", "reg"))
    names = ["optim"] if optim.get("schedule", "constant") != "constant" else []
    if reg.get("schedule", "constant") != "constant" and reg.get("epochs") is None:
        names.append("reg")
    named = " and ".join(f"{name}.schedule={here[name]['schedule']}" for name in names)
    return (
        f"{named} {'go' if names[1:] else 'goes'} on where the new length has it" if named else ""
    )


def _limits(here: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """The unit, how many are done and the limit, of every limit that there is."""
    for unit in ("epochs", "steps"):
        limit, done = (here.get("trainer") or {}).get(f"max_{unit}"), summary.get(unit)
        if isinstance(limit, int) and isinstance(done, int) and limit >= 0:
            yield unit, done, limit


def _observed(key: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether the callback that `key` belongs to only observes, on both sides; an absent one does."""
    name = key.split(".")[1] if "." in key else ""
    before, now = ((config.get("callbacks") or {}).get(name) for config in (there, here))
    # no module is imported because a folder names it
    return observes(now) and observes(
        before, load=now is not None and _target(before) == _target(now)
    )


def _target(node: Any) -> Any:
    return node.get("_target_") if isinstance(node, Mapping) else None


def _examples(config: Mapping[str, Any]) -> Any:
    """The examples of a batch over all processes; the factors themselves where one of them is not a number."""
    trainer, data = (config.get(group) or {} for group in ("trainer", "data"))
    devices, size = trainer.get("devices", 1), data.get("batch_size", 1)
    count = len(devices) if isinstance(devices, list) else devices
    count = int(count) if isinstance(count, str) and count.isdigit() else count
    factors = (count, trainer.get("num_nodes") or 1, size)
    whole = all(isinstance(n, int) and n > 0 for n in factors)
    return count * factors[1] * size if whole else factors
