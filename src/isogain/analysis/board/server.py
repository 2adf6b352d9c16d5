"""A server for the page on the loopback interface: its page, its answers, and nothing else."""

import hashlib
import json
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from isogain.analysis.board.index import Index
from isogain.analysis.board.template import page, policy
from isogain.record import panels

ADDRESS = "127.0.0.1"
NAMES = {
    "127.0.0.1",
    "localhost",
}  # what a browser may call it: any other name was bent to this address
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD below `/<word>/`; the word is new each time, for others on this machine reach the port too.

    Raises OSError where the port is taken.
    """

    daemon_threads = True
    request_queue_size = 512  # that wait at once: a page asks for everything, in several windows
    allow_reuse_address = True

    def __init__(self, index: Index, port: int = 0) -> None:
        self.index, self.word = index, secrets.token_urlsafe(12)
        super().__init__((ADDRESS, port), Handler)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/{self.word}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error; others are."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request: the page at the word itself, JSON at `api/NAME?of=ARGUMENT` below it."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "isogain", ""
    timeout = 60

    def do_GET(self) -> None:
        if (status := self._refused()) is not None:
            return self._send(status, f"{status.value} {status.phrase}\n".encode(), "text/plain")
        url = urlsplit(self.path)
        below = url.path.removeprefix(f"/{self.server.word}/")
        if below == "":
            found = page({"live": True, "panels": panel_data()}).encode()
            return self._send(HTTPStatus.OK, found, "text/html; charset=utf-8")
        argument = parse_qs(url.query).get("of", [""])[0]
        answer = self.server.index.answer(below.removeprefix("api/"), argument)
        if not below.startswith("api/") or answer is None:
            return self._send(HTTPStatus.NOT_FOUND, b"404 Not Found\n", "text/plain")
        body = json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
        self._send(HTTPStatus.OK, body, "application/json")

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        """Nothing: the terminal is for what the user has to know."""

    def _refused(self) -> HTTPStatus | None:
        """Why this request gets no answer: a foreign host name, or a path without the word."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
            path = urlsplit(self.path).path
        except ValueError:
            return HTTPStatus.FORBIDDEN
        if name not in NAMES:
            return HTTPStatus.FORBIDDEN
        start = f"/{self.server.word}/"
        known = secrets.compare_digest(path[: len(start)].encode(errors="replace"), start.encode())
        return None if known else HTTPStatus.NOT_FOUND

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        same = status == HTTPStatus.OK and self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if same else status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", policy(live=True))
        self.send_header("ETag", tag)
        if not same:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not same and self.command == "GET":
            self.wfile.write(body)


def panel_data() -> dict[str, Any]:
    """`isogain.record.panels` for the page."""
    groups = {
        "learning": panels.LEARNING,
        "isometry": panels.ISOMETRY,
        "quantiles": panels.QUANTILES,
        "gradients": panels.GRADIENTS,
    }
    found: dict[str, Any] = {k: [panel._asdict() for panel in group] for k, group in groups.items()}
    return found | {
        "by_layer": panels.BY_LAYER,
        "axes": panels.AXES,
        "outcomes": panels.OUTCOMES,
    }
