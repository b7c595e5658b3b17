"""A run's durable files: no finished line is lost, no torn one is read."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.storage.atomic import DirectoryLock, StorageFull, write_json_atomic
from engine.storage.jsonl import JsonlStore, read_jsonl

ROWS = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers()))


@settings(max_examples=50, deadline=None)
@given(rows=ROWS, more=ROWS, cut=st.integers(0, 60))
def test_file_cut_anywhere_keeps_every_whole_line_and_takes_new_ones(
    tmp_path_factory, rows, more, cut
):
    path = tmp_path_factory.mktemp("store") / "rows.jsonl"
    with JsonlStore(path) as store:
        for row in rows:
            store.append(row)
    whole = path.read_bytes()
    kept = whole[: max(0, len(whole) - cut)]
    path.write_bytes(kept)
    whole_lines = kept.count(b"\n") + is_json(kept.rpartition(b"\n")[2])
    with JsonlStore(path) as store:
        for row in more:
            store.append(row)
        assert list(read_jsonl(store.path)) == rows[:whole_lines] + more


def is_json(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("torn", ['{"a": 2', '{"a": "\\', "\0\0\0", '"a', "3", '{"a":1}{'])
def test_torn_last_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' + torn, encoding="utf-8")
    assert list(read_jsonl(path)) == [{"a": 1}]
    with JsonlStore(path) as store:
        assert list(read_jsonl(store.path)) == [{"a": 1}]
    assert path.read_text(encoding="utf-8") == '{"a": 1}\n'


def test_last_line_that_lacks_only_its_line_break_is_kept(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}', encoding="utf-8")
    with JsonlStore(path) as store:
        store.append({"a": 3})
        assert [row["a"] for row in read_jsonl(store.path)] == [1, 2, 3]


def test_long_torn_line_is_found_over_block_borders(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": "' + "x" * 200_000, encoding="utf-8")
    with JsonlStore(path) as store:
        assert list(read_jsonl(store.path)) == [{"a": 1}]


def test_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"rows\.jsonl:2: is not one JSON object"):
        list(read_jsonl(path))


def test_text_of_every_kind_comes_back(tmp_path):
    rows = [{"a": "é\u2028\ud800\r\0"}, {"b": "line\nbreak"}]
    with JsonlStore(tmp_path / "rows.jsonl") as store:
        for row in rows:
            store.append(row)
        read = [{"a": "é\u2028\ufffd\r\0"}, rows[1]]  # half a surrogate pair cannot be written
        assert list(read_jsonl(store.path)) == read
        with pytest.raises(ValueError, match="one JSON object to a line"):
            store.append('{\n"a": 1}')


APPENDED_THEN_KILLED = """
import os, sys
from pathlib import Path
from engine.storage.jsonl import JsonlStore
from engine.storage.atomic import DirectoryLock
with DirectoryLock(Path(sys.argv[1]).parent):
    store = JsonlStore(Path(sys.argv[1]))
    for number in range(300):
        store.append({"number": number})
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.write(tell, b"!")
        sys.stdin.read()
        os._exit(0)
    os.read(ready, 1)
    os.kill(os.getpid(), 9)
"""


def test_kill_right_after_append_loses_nothing_and_frees_the_lock_despite_a_child(tmp_path):
    path = tmp_path / "rows.jsonl"
    command = [sys.executable, "-c", APPENDED_THEN_KILLED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # the child reads to its end
        assert process.wait() == -9
        with DirectoryLock(tmp_path):
            assert [row["number"] for row in read_jsonl(path)] == list(range(300))


def test_full_disk_leaves_whole_lines_and_the_old_json_file(tmp_path):
    path, manifest = tmp_path / "rows.jsonl", tmp_path / "manifest.json"
    write_json_atomic(manifest, {"old": True})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
        store = JsonlStore(path)
        with pytest.raises(StorageFull, match=r"rows\.jsonl: no space left"):
            fill(store)
        with pytest.raises(StorageFull):
            write_json_atomic(manifest, {"new": "x" * 5_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes().count(b"\n") == len(list(read_jsonl(path))) == 9
    assert path.read_bytes().endswith(b"\n")
    store.append({"a": "after"})
    store.close()
    assert list(read_jsonl(store.path))[-1] == {"a": "after"}
    assert json.loads(manifest.read_text(encoding="utf-8")) == {"old": True}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest.json", "rows.jsonl"]


def fill(store):
    while True:
        store.append({"a": "x" * 100})


def test_sync_is_at_most_once_a_second(tmp_path, monkeypatch):
    synced, clock = [], 100.0
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    store = JsonlStore(tmp_path / "rows.jsonl")
    for _ in range(3):
        store.append({})
        store.sync()
    assert synced == []
    clock += 1
    store.sync()
    assert len(synced) == 1
    store.append({})
    store.sync()
    assert len(synced) == 1
    store.sync(now=True)
    store.sync(now=True)
    assert len(synced) == 2
    store.append({})
    store.close()
    store.close()
    assert len(synced) == 3


def test_what_is_synced_has_left_our_buffers(tmp_path, monkeypatch):
    """A file that is replaced before its bytes are on the disk is empty after a power cut."""
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    write_json_atomic(tmp_path / "manifest.json", {"complete": True})
    assert sizes[0] == (tmp_path / "manifest.json").stat().st_size > 0


def test_second_writer_is_told_who_the_first_is(tmp_path):
    with DirectoryLock(tmp_path):
        expected = rf"another process \(pid {os.getpid()} on \S+\) is writing to .*wait for it"
        with pytest.raises(InputError, match=expected), DirectoryLock(tmp_path):
            pass
    with DirectoryLock(tmp_path):
        pass


def test_a_lock_that_does_not_fit_on_the_disk_is_let_go(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, hard))
    try:
        with pytest.raises(StorageFull, match="no space left"), DirectoryLock(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with DirectoryLock(tmp_path):
        pass


def test_json_file_is_replaced_whole(tmp_path):
    path = tmp_path / "manifest.json"
    for value in ({"a": "é"}, {"b": [1, 2]}):
        write_json_atomic(path, value)
        assert json.loads(path.read_text(encoding="utf-8")) == value
    with pytest.raises(TypeError):
        write_json_atomic(path, {"b": object()})
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]
