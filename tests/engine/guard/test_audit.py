"""The log's chain: whatever is removed, added or changed is found, and nothing else."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.guard.audit import AuditLog, Head, verify_chain
from engine.guard.redaction import Redactor

REDACTOR = Redactor()


class Days:
    def __init__(self, hour=12):
        self.now = datetime(2026, 11, 26, hour, tzinfo=UTC)

    def __call__(self):
        return self.now


def written(directory, lines=6, days=1, retention=None, clock=None):
    clock = clock or Days()
    log = AuditLog(directory, REDACTOR, retention_days=retention, clock=clock)
    for day in range(days):
        clock.now += timedelta(days=bool(day))
        for number in range(lines):
            log.append("answer", {"id": f"r{number}", "text": "é\ud800 \u2028", "share": 0.1})
    log.close()
    return log.head


def files(directory):
    return sorted((directory / "audit").glob("2*.jsonl"))


def test_a_log_that_was_left_alone_is_unbroken(tmp_path):
    head = written(tmp_path, days=3)
    chain = verify_chain(tmp_path, head)
    assert (chain.problems, chain.lines, chain.head) == ([], 18, head)


def test_the_chain_goes_on_in_the_next_process(tmp_path):
    clock = Days()
    written(tmp_path, clock=clock)
    clock.now += timedelta(days=2)
    written(tmp_path, clock=clock)
    assert len(files(tmp_path)) == 2
    chain = verify_chain(tmp_path)
    assert (chain.problems, chain.lines) == ([], 12)


@given(st.data())
def test_any_line_that_was_removed_is_found(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("log")
    written(directory, days=2)
    path = data.draw(st.sampled_from(files(directory)))
    lines = path.read_bytes().splitlines(keepends=True)
    gone = data.draw(st.integers(0, len(lines) - 1))
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    assert verify_chain(directory).problems


@settings(max_examples=40)
@given(st.data())
def test_any_line_that_was_changed_added_or_moved_is_found(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("log")
    written(directory)
    (path,) = files(directory)
    lines = path.read_bytes().splitlines(keepends=True)
    at, other = data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True))
    match data.draw(st.sampled_from(["changed", "twice", "swapped"])):
        case "changed":
            row = json.loads(lines[at]) | {"id": "other"}
            lines[at] = json.dumps(row).encode() + b"\n"
        case "twice":
            lines.insert(at, lines[at])
        case "swapped":
            lines[at], lines[other] = lines[other], lines[at]
    path.write_bytes(b"".join(lines))
    assert verify_chain(directory).problems


def test_lines_cut_off_the_end_are_found_by_a_head_that_was_kept(tmp_path):
    head = written(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "ends before line 6" in str(verify_chain(tmp_path).problems[0])
    (tmp_path / "audit" / "head.json").unlink()
    assert verify_chain(tmp_path).problems == [], "nothing says that there was more"
    assert verify_chain(tmp_path, head).problems
    assert verify_chain(tmp_path, Head(3, "0" * 64)).problems


@pytest.mark.parametrize("number", [1, 4, 6])
def test_a_log_that_was_written_anew_is_found_by_the_head_kept_elsewhere(tmp_path, number):
    head = written(tmp_path, number)
    shutil.rmtree(tmp_path / "audit")
    written(tmp_path, 6, clock=Days(hour=13))
    assert verify_chain(tmp_path).problems == [], "its head.json is its own"
    (problem,) = verify_chain(tmp_path, head).problems
    assert "is another line" in str(problem)


def test_the_head_of_the_last_line_that_was_deleted_for_its_age_is_compared(tmp_path):
    clock = Days()
    head = written(tmp_path, clock=clock)
    clock.now += timedelta(days=9)
    written(tmp_path, retention=3, clock=clock)
    assert verify_chain(tmp_path, head).problems == []
    assert verify_chain(tmp_path, Head(head.number, "0" * 64)).problems


def test_a_line_that_a_killed_process_began_is_cut_off(tmp_path):
    written(tmp_path)
    (path,) = files(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"at": "2026')
    assert verify_chain(tmp_path).problems == []
    written(tmp_path)
    assert verify_chain(tmp_path).lines == 12


def test_old_days_are_deleted_and_the_rest_still_verifies(tmp_path):
    written(tmp_path, days=9, retention=3)
    assert [path.stem[-2:] for path in files(tmp_path)] == ["01", "02", "03", "04"]
    chain = verify_chain(tmp_path)
    assert chain.problems == []
    files(tmp_path)[0].unlink()
    assert "begins with line" in str(verify_chain(tmp_path).problems[0])


def test_a_directory_without_a_log_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no log"):
        verify_chain(tmp_path)


SECRETS = [
    "ann.lee+x@mail.example.org",
    "4111 1111 1111 1111",
    "sk-proj-" + "aB3_" * 10,
    "Bearer abcdefghijklmnop.qrstuv",
    "AKIA" + "ABCDEFGH12345678",
    "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_taken_out_wherever_they_stand(secret):
    row = {"messages": [{"content": f"It is {secret}, I think."}], "n": 1, "none": None}
    redacted = REDACTOR.value(row)
    assert redacted["messages"][0]["content"] == "It is [redacted], I think."
    assert (redacted["n"], redacted["none"]) == (1, None)


def test_what_is_no_secret_stays():
    text = "In 1999 we sold 12 apples for 3.50 at @home, see sk-8 and https://a.b/c"
    assert REDACTOR.text(text) == text
    assert Redactor([]).text("ann@example.org") == "ann@example.org"
