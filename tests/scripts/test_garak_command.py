"""`solon garak`: another program is started against a server, and its report read."""

import http.client
import json
import os
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from constitution.problems import InputError
from engine.guard.settings import ServerSettings
from scripts.commands.garak import garak
from tests.scripts.invoking import invoke
from training.evaluation.harness.garak_scan import KEY, garak_command, model_at

STUB = """#!{python}
import json, os, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
prefix = words["--report_prefix"]
open(prefix + ".words", "w").write(json.dumps(words | {{"key": os.environ["{key}"]}}))
setup = {{"entry_type": "start_run setup", "plugins.target_name": words["--target_name"]}}
found = {{"entry_type": "eval", "probe": "dan.Dan", "detector": "dan.DAN", "passed": 3, "total": 4}}
open(prefix + ".report.jsonl", "w").write(json.dumps(setup) + "\\n" + json.dumps(found) + "\\n")
sys.exit({code})
"""


@contextmanager
def serving(body):
    """The address of a server that answers every question with `body`, and the keys it was told."""
    keys = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            keys.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put a garak on the PATH that ends with a code."""

    def put(code=0):
        program = tmp_path / "bin" / "garak"
        program.parent.mkdir(exist_ok=True)
        program.write_text(STUB.format(python=sys.executable, key=KEY, code=code))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    monkeypatch.delenv(KEY, raising=False)
    return put


def test_it_attacks_the_model_that_the_server_lists(tmp_path, installed):
    installed()
    out = tmp_path / "runs" / "g.json"
    with serving(b'{"data": [{"id": "guarded"}]}') as (url, _):
        result = invoke(garak, url, "--probes", "dan", "--out", out)
    assert result.exit_code == 0 and "25%" in result.output
    (row,) = json.loads(out.read_bytes())
    assert (row["model"], row["attempts"], row["hits"]) == ("guarded", 4, 1)
    words = json.loads((tmp_path / "runs/g.words").read_text())
    assert words["--probes"] == "dan" and words["--generations"] == "5" and words["key"] == "none"
    options = json.loads(words["--generator_options"])["openai"]["OpenAICompatible"]
    assert options == {"uri": f"{url}/", "stop": []}


def test_a_garak_that_fails_or_is_not_there_is_said(tmp_path, installed, monkeypatch):
    out = tmp_path / "g.json"
    installed(code=3)
    failed = invoke(garak, "http://127.0.0.1:9/v1", "--model", "m", "--out", out)
    assert "exit code 3" in str(failed.exception)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = invoke(garak, "http://127.0.0.1:9/v1", "--model", "m", "--out", out)
    assert isinstance(missing.exception, InputError)
    assert "uv tool install garak" in str(missing.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"no json", b'{"data": []}', b"[" * 100_000, b'{"data": [{"id": null}]}']
)
def test_a_server_without_a_list_is_refused(body):
    with serving(body) as (url, _), pytest.raises(InputError, match="lists no model"):
        model_at(url)


def test_a_server_that_speaks_no_http_is_refused(monkeypatch):
    def answer(*_, **__):
        raise http.client.BadStatusLine("SSH-2.0")

    monkeypatch.setattr("urllib.request.urlopen", answer)
    with pytest.raises(InputError, match="does not answer"):
        model_at("http://127.0.0.1:22/v1")


def test_the_servers_key_is_sent():
    with serving(b'{"data": [{"id": "m"}]}') as (url, keys):
        assert model_at(f"{url}/", "secret") == "m"
    assert keys == ["Bearer secret"]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "http://127.0.0.1:9/v1"])
def test_what_is_no_server_is_refused(url):
    with pytest.raises(InputError):
        model_at(url)


def test_the_address_that_is_proposed_is_the_one_that_serve_takes():
    with pytest.raises(InputError, match=f"http://127.0.0.1:{ServerSettings().port}/v1"):
        model_at("127.0.0.1")


def test_all_probes_run_where_none_is_named(tmp_path):
    words = garak_command("garak", "http://h/v1/", "m", tmp_path / "g", None, 2)
    assert "--probes" not in words and str(tmp_path / "g") in words
    assert json.loads(words[words.index("--generator_options") + 1])["openai"]["OpenAICompatible"][
        "uri"
    ] == ("http://h/v1/")
