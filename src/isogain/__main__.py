"""`python -m isogain TOOL ...`: the tools that read run folders, and the one that asks theory."""

import runpy
import sys

TOOLS = {
    "status": "isogain.analysis.status",
    "results": "isogain.analysis.report",
    "plots": "isogain.analysis.plots",
    "board": "isogain.analysis.board",
    "theory": "isogain.analysis.phase_diagram",
    "sync": "isogain.tracking.sync",
    "dashboard": "isogain.tracking.dashboard",
}


def main() -> None:
    """Run the tool that the first argument names, with the arguments after it."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TOOLS:
        asked_for_help = name in ("-h", "--help")
        text = f"usage: python -m isogain {{{','.join(TOOLS)}}} ...; each answers to --help"
        print(
            text if asked_for_help else f"error: {text}",
            file=None if asked_for_help else sys.stderr,
        )
        sys.exit(not asked_for_help)
    del sys.argv[1]
    runpy.run_module(TOOLS[name], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
