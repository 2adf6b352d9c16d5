"""`python -m isogain.dashboard --project P`: the tool itself is `isogain.tracking.dashboard`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("isogain.tracking.dashboard", run_name="__main__", alter_sys=True)
