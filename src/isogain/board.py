"""`python -m isogain.board FOLDER`: the tool itself is `isogain.analysis.board`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("isogain.analysis.board", run_name="__main__", alter_sys=True)
