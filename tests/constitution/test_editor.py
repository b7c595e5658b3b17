"""What an editor shows by the schema, asked of yaml-language-server: the one on the PATH, or else
the npm package, installed once into the user's cache."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from constitution import shipped_constitutions
from constitution.yaml_writer import SCHEMA_FILE

LIBRARY = SCHEMA_FILE.parent / "library"
HEAD = "# yaml-language-server: $schema=../constitution.schema.json\n"
VERSION = "2.0.0"
pytestmark = pytest.mark.slow


def server():
    """The language server's command; skips, saying why, where there is none and none to be had."""
    if found := shutil.which("yaml-language-server"):
        return found
    if not (shutil.which("node") and (npm := shutil.which("npm"))):
        pytest.skip("neither yaml-language-server nor node and npm are on the PATH")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = home / "solon-tests" / f"yaml-language-server-{VERSION}"
    if not place.is_dir():
        install(npm, place)
    return str(place / "node_modules" / ".bin" / "yaml-language-server")


def install(npm, place):
    """The whole package, or nothing and a skip."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=place.parent))
    except OSError as error:
        pytest.skip(f"no folder for yaml-language-server: {error}")
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--loglevel=error")
    command = [npm, "install", *options, f"--prefix={folder}", f"yaml-language-server@{VERSION}"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=folder)
        folder.rename(place)
    except (OSError, subprocess.SubprocessError) as error:
        if not place.is_dir():  # another process was no faster
            pytest.skip(f"npm cannot install yaml-language-server {VERSION}: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Editor:
    """A client of the language server protocol, as small as these questions allow."""

    def __init__(self, command):
        self.server = subprocess.Popen(
            [command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
        assert size, "the language server has ended"
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
    opened = Editor(server())
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
    text += "    applies_to: {tags: [law]}\n"
    told = json.dumps(editor.at("hover", "e.yaml", text, "applies"))
    assert "Which prompts and stakeholders this concerns." in told


def test_a_key_that_is_not_there_is_completed_with_what_it_is_for(editor):
    text = HEAD + "name: x\nprinciples:\n  - id: a\n    statement: b\n    \n"
    found = editor.at("completion", "f.yaml", text, "statement: b\n    ")
    items = {item["label"]: item for item in found["items"]}
    missing = {"critique", "revision", "preference", "weight", "severity", "tags", "applies_to"}
    assert missing <= items.keys()
    assert {"id", "statement"}.isdisjoint(items)
    assert "Sampling weight" in json.dumps(items["weight"]["documentation"])
