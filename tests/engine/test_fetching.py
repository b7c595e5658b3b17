"""A question to a server over HTTP: bounded, for JSON, and for that server alone."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError

import pytest

from constitution.reading import NotJson
from engine.fetching import fetched_json


class Answering(BaseHTTPRequestHandler):
    """Answers each path in its own way, and keeps what it was asked."""

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body):
        self.server.seen.append((self.path, body, self.headers["Content-Type"]))
        answers = {"/long": b"[" + b" " * (1 << 20) + b"]", "/text": b"hello"}
        status = {"/moved": 302, "/refused": 403}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(answers.get(self.path, b'{"a": 1}'))

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    served = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    served.seen = []
    served.url = f"http://127.0.0.1:{served.server_port}"
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def test_json_is_asked_for_and_sent(server):
    assert fetched_json(f"{server.url}/x", headers={}, seconds=9) == {"a": 1}
    assert fetched_json(f"{server.url}/x", headers={}, seconds=9, body={"by": ""}) == {"a": 1}
    assert server.seen == [("/x", None, None), ("/x", {"by": ""}, "application/json")]


@pytest.mark.parametrize(("path", "told"), [("long", "longer than"), ("text", "is not JSON")])
def test_what_cannot_be_read_is_not_json(server, path, told):
    with pytest.raises(NotJson, match=told):
        fetched_json(f"{server.url}/{path}", headers={}, seconds=9)


@pytest.mark.parametrize(("path", "status"), [("moved", 302), ("refused", 403)])
def test_a_redirection_is_an_answer_as_a_refusal_is(server, path, status):
    for body in (None, {}):
        with pytest.raises(HTTPError) as refused:
            fetched_json(f"{server.url}/{path}", headers={}, seconds=9, body=body)
        assert refused.value.code == status
        refused.value.close()
    assert [asked for asked, *_ in server.seen] == [f"/{path}"] * 2


def test_what_does_not_speak_http_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet():
            link, _ = other.accept()
            with link:
                link.recv(1000)
                link.sendall(b"SSH-2.0-sshd\r\n")

        threading.Thread(target=greet, daemon=True).start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match="does not speak HTTP"):
            fetched_json(url, headers={}, seconds=9)
