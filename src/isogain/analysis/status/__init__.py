"""Which runs of a sweep are done, which go on, and which are to be run again; `python -m isogain.status`."""
