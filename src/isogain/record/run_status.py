"""How a run stands: what its summary says, or what is known of one that has none."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The first four a run writes itself, in summary.json and at the end of an attempt."""

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
    UNFINISHED = "unfinished"  # it has no summary, and nobody was asked whether it still runs
    UNKNOWN = "unknown"  # likewise, and whoever was asked does not know

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
        """Whether the run came to an end that another attempt would not change."""
        return self in (self.FINISHED, self.DIVERGED)

    @property
    def goes_on(self) -> bool:
        """Whether the run is at work or will be, or may be for all that is known."""
        return self in (self.PENDING, self.PREEMPTED, self.RUNNING, self.UNKNOWN)

    @property
    def is_missing(self) -> bool:
        """Whether it takes another attempt to have the run's result."""
        return self in (self.FAILED, self.LOST, self.INTERRUPTED, self.UNSTARTED)
