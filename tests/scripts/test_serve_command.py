"""`solon serve` and `solon guard`: a load of clients, a kill, and what is refused at the start."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("uvicorn")
ROOT = Path(__file__).parents[2]
ADMIN = "the-key-of-the-admin"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "SOLON_ADMIN_KEY": ADMIN}
CLIENTS, EACH = 200, 3
MOST_CPU = 0.003
"""Seconds of processor time for a request, its five verdicts by the scripted judge included."""
SCRIPT = """
rules:
  - {match: "wicked[^/]*</reply>[\\\\s\\\\S]*true of this reply", probabilities: [0.97, 0.03]}
  - {match: "true of this reply", probabilities: [0.02, 0.98]}
  - {match: "tempt", reply: "Something wicked."}
  - {match: "faulty", fail: server_error}
"""
RULES = """
name: rules
principles:
  - {id: one, statement: The assistant keeps one., severity: critical}
  - {id: two, statement: The assistant keeps two.}
  - {id: three, statement: The assistant keeps three., severity: low}
  - {id: four, statement: The assistant keeps four., severity: high}
  - {id: five, statement: The assistant keeps five.}
refusal: That is not for me.
"""


def solon(*words, folder, **environment):
    return subprocess.run(
        [sys.executable, "-m", "scripts.solon", *words],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "script.yaml").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    return tmp_path


@contextmanager
def serving(folder, *options):
    """The process and the URL of a guard in `folder`."""
    words = [
        "serve",
        "-c",
        "rules.yaml",
        "-m",
        "scripted:script.yaml",
        "--name",
        "m",
        "-o",
        "guard",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.solon", *words, "--port", "0", *options],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = process.stderr.readline()
        found = re.search(r"http://\S+(?=/v1)", told)
        assert found, told + process.stderr.read()
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        process.stderr.close()


def processor_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask(session, url, text, stream=False):
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}
    async with session.post(f"{url}/v1/chat/completions", json=body) as answered:
        return answered.status, await answered.text()


async def crowd(url):
    """Each client asks one thing after another; of five requests one meets a faulty model."""
    seen = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client(number):
            for turn in range(EACH):
                at = number * EACH + turn
                text = f"Question {at}" + (" faulty" if at % 5 == 0 else "")
                status, _ = await ask(session, url, text, stream=at % 2 == 0)
                seen[status] += 1

        await asyncio.gather(*map(client, range(CLIENTS)))
    return seen


def asked(url, text):
    async def one():
        async with aiohttp.ClientSession() as session:
            return await ask(session, url, text)

    return json.loads(asyncio.run(one())[1])["choices"][0]["message"]["content"]


def test_two_hundred_clients_and_a_faulty_model(folder):
    with serving(folder) as (process, url):
        best = 1.0
        for _ in range(4):
            began = processor_seconds(process)
            seen = asyncio.run(crowd(url))
            best = min(best, (processor_seconds(process) - began) / (CLIENTS * EACH))
            assert seen == {200: CLIENTS * EACH * 4 // 5, 502: CLIENTS * EACH // 5}
            if best <= MOST_CPU:
                break
    assert process.returncode == 0, "SIGTERM ends it as it should"
    assert best <= MOST_CPU, f"{1000 * best:.2f} ms of processor time a request"
    verified = solon("guard", "verify", "guard", folder=folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    (log,) = (folder / "guard/audit").glob("2*.jsonl")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:300] + lines[301:]))
    broken = solon("guard", "verify", "guard", folder=folder)
    assert broken.returncode == 1
    assert f"{log.name}:301: is line 302 and follows line 300" in broken.stdout


def test_the_breaker_outlives_a_kill_and_only_a_person_closes_it(folder):
    with serving(folder, "--breaker", "critical>1/5min") as (process, url):
        assert asked(url, "tempt me") == "That is not for me."
        process.kill()
        process.wait()
    with serving(folder, "--breaker", "critical>1/5min") as (process, url):
        assert asked(url, "Hello").endswith(".")
        assert "not available" in asked(url, "tempt me"), "the breach before the kill counts"
        process.kill()
        process.wait()
    with serving(folder) as (_, url):
        assert "not available" in asked(url, "Hello")
        reset = ("guard", "reset", url, "--by", "ann")
        refused = solon(*reset, folder=folder, SOLON_ADMIN_KEY="another")
        assert refused.returncode == 2
        assert "not available" in asked(url, "Hello")
        assert solon(*reset, folder=folder).stdout == "answering\n"
        assert "not available" not in asked(url, "Hello")
    assert solon("guard", "verify", "guard", folder=folder).returncode == 0
    exported = solon("export", "guard", "-f", "label-studio", "--queue", "escalated", folder=folder)
    assert "2 of 2 questions" in exported.stdout, exported.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--host", "0.0.0.0"), "--host: is 0.0.0.0, where anyone could ask"),
        (("--breaker", "critical>2/5min"), "could not be closed again without a key"),
        (("--on-breach", "high=explode"), "explode"),
        (("--redact", "(?=x)"), "is not a regular expression"),
        (("--window", "10"), "window"),
        (("--accept", "always"), "without asking the judge first"),
        (("--tenants", "none.yaml"), "none.yaml: cannot be read"),
        (("--webhook", "$NOWHERE"), "$NOWHERE: is not set; set it to the URL of --webhook"),
    ],
)
def test_what_would_not_be_safe_is_refused_at_the_start(folder, options, told):
    words = ("serve", "-c", "rules.yaml", "-m", "scripted", "-o", "guard", *options)
    ended = solon(*words, folder=folder, SOLON_ADMIN_KEY="")
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_is_made_with_its_hash(folder):
    key, hashed = solon("guard", "key", folder=folder).stdout.split()
    assert key.startswith("solon-") and hashed.startswith("sha256:")
