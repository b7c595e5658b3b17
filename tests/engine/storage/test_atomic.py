"""What is written whole or not at all, and never over something else."""

import json
import math
import os
import subprocess
import sys

import pytest

from constitution.problems import InputError
from engine.storage.atomic import check_place, replacing, write_json_atomic, written_whole

KILLED = """
import os, sys
from pathlib import Path
from engine.storage.atomic import written_whole
with written_whole(Path(sys.argv[1])) as directory:
    (directory / "train.jsonl").write_text("half of it")
    os.kill(os.getpid(), 9)
"""


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_what_a_kill_left_of_a_directory_is_cleaned_by_the_next_one(tmp_path):
    out = tmp_path / "rows"
    with written_whole(out) as directory:
        (directory / "train.jsonl").write_text("old", encoding="utf-8")
    assert subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False).returncode == -9
    assert (out / "train.jsonl").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == [".rows.part", "rows"]
    with written_whole(out) as directory:
        assert names(directory) == [], "nothing half written is mistaken for a part of it"
        (directory / "test.jsonl").write_text("new", encoding="utf-8")
    assert (names(tmp_path), names(out)) == (["rows"], ["test.jsonl"])


def test_two_at_once_do_not_write_one_directory(tmp_path):
    out = tmp_path / "rows"
    with written_whole(out) as directory:
        (directory / "train.jsonl").write_text("first", encoding="utf-8")
        with pytest.raises(InputError, match="another process is writing"), written_whole(out):
            pass
    assert (names(tmp_path), names(out)) == (["rows"], ["train.jsonl"])


def test_a_directory_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    out = tmp_path / "rows"
    out.mkdir()
    with pytest.raises(TypeError), written_whole(out) as directory:
        (directory / "train.jsonl").write_text(7)
    assert (names(tmp_path), names(out)) == (["rows"], [])


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "text"])
    assert path.read_text(encoding="utf-8") == "old"
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new" and names(tmp_path) == ["rows.jsonl"]


def test_a_place_of_something_else_is_refused_by_name(tmp_path):
    check_place(tmp_path / "new", "a run", lambda name: False)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"is not a run: it holds thesis\.tex"):
        check_place(tmp_path, "a run", lambda name: name == "lock")
    with pytest.raises(InputError, match="is a file"):
        check_place(tmp_path / "thesis.tex", "a run", lambda name: True)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_an_interval_without_ends_is_json_that_others_can_read(tmp_path):
    write_json_atomic(tmp_path / "a.json", {"ends": (-math.inf, 1.0, math.inf), "n": [math.nan]})

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    read = json.loads(text, parse_constant=refuse)
    assert read == {"ends": ["-Infinity", 1.0, "Infinity"], "n": ["NaN"]}
