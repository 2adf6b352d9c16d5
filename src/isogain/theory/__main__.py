"""`python -m isogain.theory`: the tool itself is `isogain.analysis.phase_diagram`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("isogain.analysis.phase_diagram", run_name="__main__", alter_sys=True)
