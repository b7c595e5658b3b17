"""What an editor shows by the schema, asked of yaml-language-server where it is installed
(`npm install yaml-language-server`, its `node_modules/.bin` on the PATH)."""

import json
import shutil
import subprocess

import pytest

from constitution import shipped_constitutions
from constitution.json_schema import SCHEMA_FILE

LIBRARY = SCHEMA_FILE.parent / "library"
HEAD = "# yaml-language-server: $schema=../constitution.schema.json\n"
SERVER = shutil.which("yaml-language-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no yaml-language-server on the PATH")


class Editor:
    """A client of the language server protocol, as small as these questions allow."""

    def __init__(self):
        self.server = subprocess.Popen(
            [SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.number = 0
        capabilities = {"textDocument": {"hover": {"contentFormat": ["plaintext"]}}}
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self.send({"method": "initialized", "params": {}})

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.server.stdin.flush()

    def receive(self):
        size = 0
        while line := self.server.stdout.readline().strip():
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        message = json.loads(self.server.stdout.read(size))
        if "id" in message and "method" in message:
            items = message["params"].get("items", ()) if "params" in message else ()
            self.send({"id": message["id"], "result": [{} for _ in items]})
        return message

    def ask(self, method, params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while True:
            message = self.receive()
            if message.get("id") == self.number and "method" not in message:
                return message["result"]

    def problems(self, name, text):
        """The diagnostics of a file that stands in the library."""
        document = {"uri": self.uri(name), "languageId": "yaml", "version": 1, "text": text}
        self.send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            message = self.receive()
            told = message.get("params", {})
            if "diagnostics" in told and told["uri"] == document["uri"]:
                return told["diagnostics"]

    def at(self, method, name, text, place):
        """Asks about the end of `place` in `text`."""
        self.problems(name, text)
        before = text[: text.index(place) + len(place)]
        position = {"line": before.count("\n"), "character": len(before.rsplit("\n", 1)[-1])}
        where = {"textDocument": {"uri": self.uri(name)}, "position": position}
        return self.ask(f"textDocument/{method}", where)

    @staticmethod
    def uri(name):
        return (LIBRARY / name).as_uri()


@pytest.fixture(scope="module")
def editor():
    opened = Editor()
    yield opened
    opened.server.kill()
    opened.server.communicate()


@pytest.mark.parametrize("name", shipped_constitutions())
def test_nothing_is_wrong_with_what_ships(editor, name):
    text = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8")
    assert editor.problems(f"{name}.yaml", text) == []


def test_what_is_wrong_is_marked_where_it_stands(editor):
    text = HEAD + "name: House Rules\nprinciples:\n  - id: a\n    statment: b\n    severity: x\n"
    found = {d["range"]["start"]["line"]: d["message"] for d in editor.problems("a.yaml", text)}
    assert "hyphens" in found[1]
    assert "statement" in found[3]
    assert "statment is not allowed" in found[4]
    assert '"critical"' in found[5]


def test_keys_and_values_are_completed(editor):
    text = HEAD + "name: x\nprinciples:\n  - id: a\n    statement: b\n    severity: \n"
    found = editor.at("completion", "b.yaml", text, "severity: ")
    assert {item["label"] for item in found["items"]} == {"low", "medium", "high", "critical"}
    text = HEAD + "name: x\nextends:\n  - \n"
    found = editor.at("completion", "c.yaml", text, "  - ")
    assert {item["label"] for item in found["items"]} == set(shipped_constitutions())


def test_a_key_tells_what_it_is_for(editor):
    text = HEAD + "name: x\nprinciples:\n  - id: a\n    statement: b\n"
    told = json.dumps(editor.at("hover", "d.yaml", text, "state"))
    assert "does or does not do" in told
    assert "does not help anyone hurt people" in told
