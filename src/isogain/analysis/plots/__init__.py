"""Figures, one a file, each a function that returns a matplotlib Figure: `python -m isogain.plots --help`."""
