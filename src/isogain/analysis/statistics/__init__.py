"""From folders of runs to one table and to conclusions: `python -m isogain.results FOLDER`."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "runs_table": ["runs"],
    },
)
