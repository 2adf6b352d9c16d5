"""`python -m isogain.sync FOLDER`: the tool itself is `isogain.tracking.sync`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("isogain.tracking.sync", run_name="__main__", alter_sys=True)
