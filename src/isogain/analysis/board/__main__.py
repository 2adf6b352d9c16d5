"""The command line of the board."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from isogain.config import arguments, streams
from isogain.config.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Show all runs below FOLDER on a local page, live while they run; Ctrl-C ends it."""
    parser = arguments.parser("board", main)
    arguments.add_folder(parser)
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="N",
        help="on 127.0.0.1; any free one by default",
    )
    parser.add_argument(
        "--static", type=Path, metavar="FILE", help="write the page to a file instead"
    )
    options = parser.parse_args(argv)
    return arguments.exit_code(lambda: _show(options))


def _show(options: argparse.Namespace) -> None:
    if not options.folder.is_dir():
        raise UserError(f"{options.folder}: no such folder")
    if options.static:
        _write(options.folder, options.static)
    else:
        _serve(options.folder, options.port)


def _serve(folder: Path, port: int) -> None:
    from isogain.analysis.board.index import Index
    from isogain.analysis.board.server import Server

    try:
        server = Server(Index(folder), port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--port {port}: {reason}; another, or none for any free one") from None
    print(f"{server.url}\nCtrl-C ends it", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def _write(folder: Path, file: Path) -> None:
    from isogain.analysis.board.index import Index
    from isogain.analysis.board.static import snapshot
    from isogain.record.atomic import replaced

    text = snapshot(Index(folder))
    with replaced(file) as part:
        part.write_text(text, encoding="utf-8")
    print(f"{file}: {len(text.encode()) / 1e6:.1f} MB")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


if __name__ == "__main__":
    sys.exit(streams.exit_code(main))
