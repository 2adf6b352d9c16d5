"""`python -m isogain.status FOLDER`: the tool itself is `isogain.analysis.status`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("isogain.analysis.status", run_name="__main__", alter_sys=True)
