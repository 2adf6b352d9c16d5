"""A W&B server on the loopback interface, as small as the real client accepts: it keeps runs, rows and summaries."""

import base64
import gzip
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "k" * 40  # the shape that the client insists on


class StoredRun:
    """What the server has of one run: the fields it was created with, and the lines of its files by number."""

    def __init__(self, name: str) -> None:
        self.name, self.fields, self.files = name, {}, {}

    def lines(self, file: str) -> list[dict[str, Any]]:
        return [json.loads(text) for _, text in sorted(self.files.get(file, {}).items())]

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.lines("wandb-history.jsonl")

    @property
    def summary(self) -> dict[str, Any]:
        return (self.lines("wandb-summary.json") or [{}])[-1]

    def bucket(self) -> dict[str, Any]:
        """The run as GraphQL tells it; the client takes from `historyLineCount` where to go on."""
        entity = {"id": "e", "name": "lab"}
        tails = {f"{kind}Tail": json.dumps([]) for kind in ("history", "events")}
        return tails | {
            "id": base64.b64encode(self.name.encode()).decode(),
            "name": self.name,
            "displayName": self.fields.get("displayName"),
            "project": {"id": "p", "name": self.fields.get("project"), "entity": entity},
            "config": "{}",
            "summaryMetrics": json.dumps(self.summary),
            "historyLineCount": len(self.history),
            "eventsLineCount": len(self.lines("wandb-events.jsonl")),
            "logLineCount": len(self.files.get("output.log", {})),
            "tags": self.fields.get("tags") or [],
            "wandbConfig": "{}",
        }


class Server:
    """`with Server() as server:` serves `server.url`; `server.runs` are StoredRuns by id, `server.refuses` any key."""

    def __init__(self) -> None:
        self.runs: dict[str, StoredRun] = {}
        self.refuses = False
        self.http = Quiet(("127.0.0.1", 0), type("H", (Handler,), {"server_": self}))
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The `data` of a GraphQL answer; of what the tests need not, nothing."""
        said = request.get("variables") or {}
        kind = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])[1]
        if kind in ("Viewer", "GetViewer", "GetDefaultEntity"):
            return {"viewer": {"id": "u", "entity": "lab", "username": "lab", "flags": "{}"}}
        if kind == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if kind == "UpsertBucket":
            new = said["name"] not in self.runs
            run = self.runs.setdefault(said["name"], StoredRun(said["name"]))
            run.fields |= {name: value for name, value in said.items() if value is not None}
            return {"upsertBucket": {"bucket": run.bucket(), "inserted": new}}
        if kind == "RunResumeStatus":
            run = self.runs.get(said["name"])
            model = {"id": "p", "name": said.get("project"), "entity": {"id": "e", "name": "lab"}}
            return {"model": model | {"bucket": run and run.bucket()}}
        if kind == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in said["files"]]
            return {"createRunFiles": {"runID": said["run"], "uploadHeaders": [], "files": files}}
        return {}

    def stream(self, run: str, said: dict[str, Any]) -> None:
        for file, part in (said.get("files") or {}).items():
            lines = self.runs[run].files.setdefault(file, {})
            lines |= {part["offset"] + i: text for i, text in enumerate(part["content"])}


class Views(Server):
    """Keeps the workspaces that are saved."""

    def __init__(self) -> None:
        super().__init__()
        self.views: list[dict[str, Any]] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "UpsertView2" in request["query"]:
            self.views.append(request["variables"])
            return {"upsertView": {"view": {"id": "v", "name": "nw-abc-v"}, "inserted": True}}
        return super().answer(request)


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """GraphQL, the stream of a run's rows, and files, which are read and forgotten."""

    protocol_version = "HTTP/1.1"
    server_: Server

    def do_POST(self) -> None:
        body = json.loads(self._body() or b"{}")
        if self.server_.refuses:
            return self._reply({"errors": [{"message": "user is not logged in"}]}, 401)
        if stream := re.fullmatch(r"/files/[^/]*/[^/]*/([^/]+)/file_stream", self.path):
            self.server_.stream(stream[1], body)
            return self._reply({"exitcode": None, "limits": {}})
        if self.path != "/graphql":
            return self._reply({"errors": [{"message": f"no {self.path} here"}]}, 404)
        self._reply({"data": self.server_.answer(body)})

    def do_PUT(self) -> None:
        self._body()
        self._reply({})

    def log_message(self, *words: Any) -> None:
        """Requests are not shown."""

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _reply(self, answer: dict[str, Any], code: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
