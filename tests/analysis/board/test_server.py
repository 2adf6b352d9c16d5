"""The server answers its own page on the loopback interface, and nobody else."""

import http.client
import json
import socket
import threading

import pytest
from boards import board_run
from guards import PATIENCE

from isogain.analysis.board.index import Index
from isogain.analysis.board.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    board_run(folder / "a")
    (folder / "secret.txt").write_text("not for the page")
    with Server(Index(folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def response(server, path, method="GET", **headers):
    """Status, headers and body of an answer; the path goes over the wire as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    found = reply.status, reply.headers, reply.read()
    connection.close()
    return found


def test_it_listens_on_the_loopback_interface_only(server):
    assert server.server_address[0] == "127.0.0.1" and server.url.startswith("http://127.0.0.1:")
    with socket.socket() as other:
        other.settimeout(PATIENCE)
        assert other.connect_ex(("127.0.0.2", server.server_port)) != 0  # bound to one address


def test_the_page_and_the_answers_come_with_headers_that_lock_them_in(server):
    for path, kind in (("", "text/html; charset=utf-8"), ("api/runs", "application/json")):
        status, headers, body = response(server, f"/{server.word}/{path}")
        assert status == 200 and headers["Content-Type"] == kind and body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers and "Python" not in headers["Server"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "192.168.0.1"]
)
def test_a_name_that_was_bent_to_this_address_is_refused(server, host):
    status, _, body = response(server, f"/{server.word}/api/runs", Host=host)
    assert status == 403 and b"runs" not in body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "localhost:9000", "LOCALHOST:1"])
def test_the_loopbacks_own_names_are_answered_also_through_a_tunnel(server, host):
    assert response(server, f"/{server.word}/api/runs", Host=host)[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/runs", "/x/api/runs", "//", "/%2e%2e/", "*", "/../../etc/passwd"]
)
def test_without_the_word_nothing_is_answered(server, path):
    assert response(server, path)[0] == 404


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "secret.txt", "api/../secret.txt", "api/run?of=../secret.txt", "api/run?of=%2e%2e%2fsecret.txt",
     "api/", "api/run", "api/run?of=7", "api//runs", "a/summary.json", "api/_look", "api/entries"],
)  # fmt: skip
def test_no_path_leads_to_a_file(server, path):
    status, _, body = response(server, f"/{server.word}/{path}")
    assert status == 404 and body == b"404 Not Found\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_only_get_and_head_are_answered(server, method):
    assert response(server, f"/{server.word}/api/runs", method)[0] in (405, 501)


def test_head_has_the_headers_alone(server):
    _, headers, body = response(server, f"/{server.word}/api/runs", "HEAD")
    assert body == b"" and int(headers["Content-Length"]) > 0


def test_what_has_not_changed_is_not_sent_again(server):
    _, headers, _ = response(server, f"/{server.word}/api/runs")
    status, _, body = response(
        server, f"/{server.word}/api/runs", **{"If-None-Match": headers["ETag"]}
    )
    assert status == 304 and body == b""


def test_many_at_once_get_the_same_answer(server):
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                response(server, f"/{server.word}/api/curves?of=val/acc")[2]
            )
        )
        for _ in range(8)
    ]
    [thread.start() for thread in threads]
    [thread.join(PATIENCE) for thread in threads]
    assert (
        len(found) == 8
        and len(set(found)) == 1
        and json.loads(found[0])["0"][0] == [0, 10, 20, 30, 40]
    )


def test_two_hundred_that_ask_at_once_are_all_answered(tmp_path):
    with Server(Index(tmp_path)) as server:
        address = server.server_address
        waiting = [socket.create_connection(address, timeout=PATIENCE) for _ in range(200)]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for client in waiting:
            request = f"GET /{server.word}/api/runs HTTP/1.0\r\nHost: localhost\r\n\r\n"
            client.sendall(request.encode())
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in waiting)
        [client.close() for client in waiting]
        server.shutdown()
