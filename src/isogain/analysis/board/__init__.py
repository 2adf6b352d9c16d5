"""A local page with all runs of a folder, live while they run: `python -m isogain.board FOLDER`."""
