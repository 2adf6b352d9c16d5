"""From folders of runs to one table and to conclusions: `python -m isogain.results FOLDER`."""

from isogain.results.table import runs as runs
