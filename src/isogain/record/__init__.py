"""A run folder: every file of it, written and read here and nowhere else."""
