"""The status of a run: the one that its summary has, or that is inferred for a run without a summary."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The status of a run; the first four are written by the run itself, in summary.json and attempts.jsonl."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    LOST = "lost"  # its process or job is gone, and it never wrote how it ended
    BROKEN = "broken"  # a file that says how it stands cannot be read
    UNSTARTED = "unstarted"
    PENDING = "pending"
    PREEMPTED = "preempted"
    RUNNING = "running"
    UNFINISHED = "unfinished"  # it has no summary, and whether it still runs was not asked
    UNKNOWN = "unknown"  # it has no summary, and whether it still runs cannot be known

    @classmethod
    def written(cls, value: object) -> Status | None:
        """The status that a run wrote as `value`; None where no run writes that."""
        known = isinstance(value, str) and value in list(cls) and cls(value).is_over
        return cls(value) if known else None

    @property
    def is_over(self) -> bool:
        """Whether the run itself wrote how it ended."""
        return self in (self.FINISHED, self.DIVERGED, self.INTERRUPTED, self.FAILED)

    @property
    def is_good(self) -> bool:
        """Whether the run ended in a way that another attempt would not change."""
        return self in (self.FINISHED, self.DIVERGED)

    @property
    def goes_on(self) -> bool:
        """Whether the run is at work, will be, or may be."""
        return self in (self.PENDING, self.PREEMPTED, self.RUNNING, self.UNKNOWN)

    @property
    def is_missing(self) -> bool:
        """Whether it takes another attempt to have the run's result."""
        return self in (self.FAILED, self.LOST, self.INTERRUPTED, self.UNSTARTED)
