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
# host names that a browser may send: any other one was redirected to this address (DNS rebinding)
NAMES = {"127.0.0.1", "localhost"}
MISSING = HTTPStatus(404)
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD below `/<word>/`; the word is drawn anew for each server, as other users can reach the port.

    Raises OSError where the port is in use.
    """

    daemon_threads = True
    request_queue_size = 512  # each open window asks for all charts at once
    allow_reuse_address = True

    def __init__(self, index: Index, port: int = 0) -> None:
        self.index, self.word = index, secrets.token_urlsafe(12)
        super().__init__((ADDRESS, port), Handler)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/{self.word}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that the browser has closed; report every other error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request: the page at the word itself, JSON at `api/NAME?of=ARGUMENT` below it."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "isogain", ""
    timeout = 60

    def do_GET(self) -> None:
        if (status := self._refusal()) is not None:
            return self._send_error(status)
        url = urlsplit(self.path)
        below = url.path.removeprefix(f"/{self.server.word}/")
        if below == "":
            html = page({"live": True, "panels": panel_data()}).encode()
            return self._send(HTTPStatus.OK, html, "text/html; charset=utf-8")
        argument = parse_qs(url.query).get("of", [""])[0]
        answer = self.server.index.answer(below.removeprefix("api/"), argument)
        if not below.startswith("api/") or answer is None:
            return self._send_error(MISSING)
        body = json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
        self._send(HTTPStatus.OK, body, "application/json")

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        """Log no requests: the terminal shows only what the user needs."""

    def _refusal(self) -> HTTPStatus | None:
        """The status of a refused request (foreign host name, or path without the word); None if it is allowed."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
            path = urlsplit(self.path).path
        except ValueError:
            return HTTPStatus.FORBIDDEN
        if name not in NAMES:
            return HTTPStatus.FORBIDDEN
        start = f"/{self.server.word}/"
        has_word = secrets.compare_digest(
            path[: len(start)].encode(errors="replace"), start.encode()
        )
        return None if has_word else MISSING

    def _send_error(self, status: HTTPStatus) -> None:
        self._send(status, f"{status.value} {status.phrase}\n".encode(), "text/plain")

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
    """The panels, axes and outcomes of `isogain.record.panels` as the page reads them."""
    groups = {
        "learning": panels.LEARNING,
        "isometry": panels.ISOMETRY,
        "quantiles": panels.QUANTILES,
        "gradients": panels.GRADIENTS,
    }
    fields: dict[str, Any] = {
        name: [panel._asdict() for panel in group] for name, group in groups.items()
    }
    return fields | {
        "by_layer": panels.BY_LAYER,
        "axes": panels.AXES,
        "outcomes": panels.OUTCOMES,
    }
