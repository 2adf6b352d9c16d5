"""From the command line to a run, and from every error back to a line. Heavy imports wait until a run starts."""

from isogain.launch import help_text as _help_text  # noqa: F401 - registers its resolver
from isogain.launch.command_line import main
from isogain.launch.hydra_errors import one_line
from isogain.launch.hydra_job import job
from isogain.launch.quiet import quieten

__all__ = ["job", "main", "one_line", "quieten"]
