"""A run folder: every file of it, written and read here and nowhere else."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
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
    },
)
