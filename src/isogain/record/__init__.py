"""A run folder: every file of it, written and read here and nowhere else."""

from typing import TYPE_CHECKING

from isogain.lazy import lazy_names

if TYPE_CHECKING:
    from isogain.record.attempts_jsonl import Attempts as Attempts
    from isogain.record.bounded import Damaged as Damaged
    from isogain.record.config_yaml import Foreign as Foreign
    from isogain.record.config_yaml import read_config as read_config
    from isogain.record.folder_walk import Listing as Listing
    from isogain.record.folder_walk import find as find
    from isogain.record.logger import RunRecord as RunRecord
    from isogain.record.logger import Spectrum as Spectrum
    from isogain.record.logger import record as record
    from isogain.record.metrics_rows import all_rows as all_rows
    from isogain.record.metrics_rows import last_row as last_row
    from isogain.record.overrides_yaml import read_overrides as read_overrides
    from isogain.record.run_contents import Run as Run
    from isogain.record.run_contents import read_run as read_run
    from isogain.record.run_folder import RunFolder as RunFolder
    from isogain.record.run_status import Status as Status
    from isogain.record.spectra_events import opened_spectra as opened_spectra
    from isogain.record.summary_json import read_summary as read_summary
    from isogain.record.sweep_points import read_plan as read_plan

_MODULES = {
    "attempts_jsonl": ["Attempts"],
    "bounded": ["Damaged"],
    "config_yaml": ["Foreign", "read_config"],
    "folder_walk": ["Listing", "find"],
    "logger": ["RunRecord", "Spectrum", "record"],
    "metrics_rows": ["all_rows", "last_row"],
    "overrides_yaml": ["read_overrides"],
    "run_contents": ["Run", "read_run"],
    "run_folder": ["RunFolder"],
    "run_status": ["Status"],
    "spectra_events": ["opened_spectra"],
    "summary_json": ["read_summary"],
    "sweep_points": ["read_plan"],
}
__all__ = [
    "Attempts",
    "Damaged",
    "Foreign",
    "Listing",
    "Run",
    "RunFolder",
    "RunRecord",
    "Spectrum",
    "Status",
    "all_rows",
    "find",
    "last_row",
    "opened_spectra",
    "read_config",
    "read_overrides",
    "read_plan",
    "read_run",
    "read_summary",
    "record",
]
__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
)
