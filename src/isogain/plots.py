"""`python -m isogain.plots FOLDER`: the tool itself is `isogain.analysis.plots`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("isogain.analysis.plots", run_name="__main__", alter_sys=True)
