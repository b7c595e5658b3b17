"""A shard on a local disk: its copy is behind by little, and whoever goes on goes on from it."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from constitution.problems import InputError
from engine.prompts.sources import open_prompts
from engine.runs.finished_shards import finished_shards
from engine.runs.gather import gather_run
from engine.runs.manifest import MANIFEST
from engine.runs.scratch import ScratchCopy
from engine.runs.shards import RunPlace
from engine.storage.jsonl import JsonlStore, read_jsonl
from engine.storage.sqlite import SqliteStore
from tests.engine import run_worker
from tests.engine.builders import finish
from tests.engine.runs.test_gather import lines, opened


@pytest.fixture
def places(tmp_path):
    """Where the run is kept, and where two machines work on it."""
    return tmp_path / "home", tmp_path / "here", tmp_path / "there"


def work(directory, *ids, manifest=()):
    """What a run does that finishes so many."""
    (directory / MANIFEST).write_text(json.dumps(dict(manifest)), encoding="utf-8")
    with JsonlStore(directory / "records.jsonl") as records:
        for id in ids:
            records.append({"id": id})


def rows(directory):
    return [row["id"] for row in read_jsonl(directory / "records.jsonl")]


def test_what_was_added_is_copied_and_a_torn_line_is_not(places):
    home, here, _ = places
    with ScratchCopy(home, here) as copy:
        for number in range(3):
            work(here, str(number), manifest={"complete": False})
            copy.copy()
            assert (home / "records.jsonl").read_bytes() == (here / "records.jsonl").read_bytes()
        before, inode = (
            (home / "records.jsonl").read_bytes(),
            (home / "records.jsonl").stat().st_ino,
        )
        with (here / "records.jsonl").open("ab") as file:
            file.write(b'{"id": "torn')
        copy.copy()
        assert (home / "records.jsonl").read_bytes() == before
        assert (home / "records.jsonl").stat().st_ino == inode  # added to, not written anew
    assert json.loads((home / MANIFEST).read_text(encoding="utf-8")) == {"complete": False}


def test_a_file_that_was_written_anew_or_is_gone_is_so_in_the_copy(places):
    home, here, _ = places
    with ScratchCopy(home, here) as copy:
        work(here, "long before")
        (here / "escalations.jsonl").write_text('{"id": "e"}\n', encoding="utf-8")
        (here / "answers.jsonl").write_text('{"id": "a"}\n', encoding="utf-8")
        copy.copy()
        for name in ("records.jsonl", "escalations.jsonl", "answers.jsonl"):
            os.remove(here / name)
        work(here, "and now something longer than that")
        copy.copy()
    assert rows(home) == ["and now something longer than that"]
    assert not (home / "escalations.jsonl").exists() and not (home / "answers.jsonl").exists()


def test_a_copy_damaged_by_a_crash_is_written_again(places):
    home, here, _ = places
    with ScratchCopy(home, here) as copy:
        work(here, "1")
        copy.copy()
        with (home / "records.jsonl").open("ab") as file:
            file.write(b'{"id": "torn')
        work(here, "2")
    assert rows(home) == ["1", "2"]


def test_another_machine_goes_on_from_the_copy_and_the_first_one_does_not_bring_back_its_own(
    places,
):
    home, here, there = places
    with ScratchCopy(home, here):
        work(here, "1", manifest={"by": "here"})
    work(here, "lost with the machine", manifest={"by": "here"})
    with ScratchCopy(home, there):
        assert rows(there) == ["1"]
        work(there, "2", manifest={"by": "there"})
    with ScratchCopy(home, here):
        assert rows(here) == ["1", "2"]
    assert rows(home) == ["1", "2"]


def test_the_same_machine_goes_on_from_its_own_rows_that_the_copy_lacks(places):
    home, here, _ = places
    with ScratchCopy(home, here):
        work(here, "1")
    work(here, "not copied before the kill")
    with ScratchCopy(home, here):
        assert rows(here) == ["1", "not copied before the kill"]
    assert rows(home) == rows(here)


def test_one_process_at_a_time_and_without_locks_the_last_one(places):
    home, here, there = places
    with ScratchCopy(home, here) as copy:
        work(here, "1")
        with pytest.raises(InputError, match="another process"), ScratchCopy(home, there):
            pass
        (home / "worker.json").write_text('{"worker": "another"}', encoding="utf-8")
        with pytest.raises(InputError, match="another worker has taken over"):
            copy.copy()
        (home / "worker.json").write_text((here / "worker.json").read_text("utf-8"), "utf-8")


def test_a_copy_that_fails_is_tried_again_and_the_last_one_is_not_silent(places, monkeypatch):
    home, here, _ = places
    told = []
    with ScratchCopy(home, here, 0.01, told.append) as copy:
        work(here, "1")
        monkeypatch.setattr(copy, "_copy_previous", lambda: (_ for _ in ()).throw(OSError("gone")))
        while not told:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(told) == 1 and "tried again (gone)" in told[0]
        monkeypatch.undo()
    assert rows(home) == ["1"]
    with pytest.raises(OSError, match="gone"), ScratchCopy(home, here) as copy:
        monkeypatch.setattr(copy, "_copy_previous", lambda: (_ for _ in ()).throw(OSError("gone")))


def completions(directory):
    """How many the cache of a directory holds."""
    with closing(SqliteStore(directory / "completions.sqlite")) as store:
        return sum(store.get(str(n).encode()) is not None for n in range(2000))


def complete(directory, numbers):
    with closing(SqliteStore(directory / "completions.sqlite")) as store:
        for number in numbers:
            store.put(str(number).encode(), bytes(500))


def killed_after(count, directory, home=None):
    """A worker that is killed with so many completions in the log beside its cache."""
    place = f"ScratchCopy(Path({str(home)!r}), directory, cache=True)" if home else "nullcontext()"
    code = f"""
import os
from contextlib import nullcontext
from pathlib import Path
from engine.runs.scratch import ScratchCopy
from engine.storage.sqlite import SqliteStore

directory = Path({str(directory)!r})
with {place}:
    store = SqliteStore(directory / "completions.sqlite")
    for number in range({count}):
        store.put(str(number).encode(), bytes(500))
    store.flush()
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert (directory / "completions.sqlite-wal").stat().st_size


def test_the_completions_that_another_worker_copied_are_not_read_with_ones_own_log(places):
    home, here, there = places
    killed_after(400, here, home)
    with ScratchCopy(home, there, cache=True):
        complete(there, range(900, 1800))
    with ScratchCopy(home, here, cache=True):
        assert completions(here) == 900


def test_the_log_of_one_killed_in_the_kept_place_is_taken_over_and_not_left_beside_the_copy(places):
    home, here, there = places
    home.mkdir()
    killed_after(400, home)
    with ScratchCopy(home, here, cache=True):
        assert completions(here) == 400
        complete(here, range(900, 1800))
    assert not (home / "completions.sqlite-wal").exists()
    with ScratchCopy(home, there, cache=True):
        assert completions(there) == 1300


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    texts = [{"id": f"p{row}", "prompt": f"Question {row}?"} for row in range(120)]
    path.write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
    return path


def answerable(count):
    """Of the first prompts, those that the script does not let fail."""
    return sum(not re.search("Question [12][0-4]", f"Question {n}?") for n in range(count))


def test_a_shard_on_local_disks_survives_the_loss_of_one(tmp_path, prompts):
    source, kinds = open_prompts(prompts), ("revise", "label", "answer")
    for kind in kinds:
        finish(opened(kind, tmp_path / f"{kind}-whole", source))
        for number, disk in ((1, "a"), (2, "b"), (2, "c")):
            place = RunPlace.parse(tmp_path / kind, f"{number}/2", tmp_path / disk)
            with place.open() as directory:
                run = opened(kind, directory, place.prompts(source))
                assert disk != "c" or run.progress().resumed > 30
                finish(run)
            shutil.rmtree(tmp_path / disk)
        gather_run(tmp_path / kind, finished_shards(tmp_path / kind))
        assert lines(tmp_path / kind) == lines(tmp_path / f"{kind}-whole")


def test_an_update_on_a_local_disk_keeps_the_earlier_records_in_the_copy(tmp_path, prompts):
    for disk, limit in (("a", 120), ("b", 100), ("b", 90), ("c", 80)):
        place = RunPlace.parse(tmp_path / "out", "1/1", tmp_path / disk)
        part = place.prompts(open_prompts(prompts, limit=limit))
        with place.open() as directory:
            finish(opened("answer", directory, part, mode="update"))
    home = tmp_path / "out" / "shards" / "1"
    kept = [len(rows(home / "previous" / str(n))) for n in (1, 2, 3)]
    assert [*kept, len(rows(home))] == [answerable(limit) for limit in (120, 100, 90, 80)]


def test_a_shard_may_leave_its_local_disk_and_come_back(tmp_path, prompts):
    source = open_prompts(prompts)
    for scratch, mode in (
        (tmp_path / "a", "resume"),
        (None, "retry-failed"),
        (tmp_path / "a", "resume"),
    ):
        place = RunPlace.parse(tmp_path / "out", "1/1", scratch)
        with place.open() as directory:
            finish(opened("answer", directory, place.prompts(source), mode=mode))
            (directory / "marker").write_text(mode, encoding="utf-8")
    home = tmp_path / "out" / "shards" / "1"
    assert rows(home) == rows(place.directory) and len(rows(home)) == answerable(120)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["revise", "label", "answer"])
def test_workers_killed_at_random_moments_lose_and_repeat_nothing(tmp_path, prompts, kind):
    """Each attempt on the disk of one of two machines; a kill loses what was not copied yet, which
    the next one makes again: the same records."""
    draw, log = random.Random(kind), tmp_path / "log"
    run_worker.main(str(tmp_path / "whole"), str(prompts), str(log), "0", kind)
    out, seen = tmp_path / "out", [0, 0]
    for shard in (1, 2):
        for attempt in range(5):
            kill = draw.randint(1, 12) if attempt < 4 else None
            mine = tmp_path / f"log-{shard}-{attempt}"
            words = [out, prompts, mine, 0.05 if kill else 0, kind, f"{shard}/2"]
            disk = tmp_path / draw.choice(("here", "there"))
            process = subprocess.Popen([
                sys.executable,
                "-m",
                "tests.engine.run_worker",
                *map(str, words),
                str(disk),
            ])
            while kill and process.poll() is None:
                if mine.exists() and mine.read_bytes().count(b"\n") >= kill:
                    time.sleep(draw.random() / 5)
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.005)
            assert process.wait() == (-signal.SIGKILL if kill else 0)
            home = out / "shards" / str(shard)
            copied = len(rows(home)) if (home / "records.jsonl").exists() else 0
            assert copied >= seen[shard - 1]
            seen[shard - 1] = copied
    gather_run(out, finished_shards(out))
    made = sorted((out / "records.jsonl").read_bytes().splitlines())
    assert made == sorted((tmp_path / "whole" / "records.jsonl").read_bytes().splitlines())
