"""How long the earlier attempts at a run took."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isogain.record.attempts_jsonl import seconds


def earlier_seconds(events: Sequence[Mapping[str, Any]], saved: Path) -> float:
    """Wall time of all attempts but the last one, by the `events` of attempts.jsonl.

    An attempt that was killed, so that its end is not on record, counts until the checkpoint `saved`, from which the
    next one went on.
    """
    starts = [i for i, event in enumerate(events) if event["event"] == "start"]
    until = saved.stat().st_mtime
    total = 0.0
    for first, following in zip(starts, starts[1:], strict=False):
        began, next_began = (seconds(events[i].get("time")) for i in (first, following))
        if began is None or next_began is None:
            continue
        ended = seconds(events[following - 1].get("time")) if following - 1 > first else None
        end = min(until, next_began) if ended is None else ended
        total += max(0.0, end - began)
    return total
