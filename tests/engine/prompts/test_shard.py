"""Shards of prompts: every prompt is in exactly one, wherever and in whatever order it is read."""

import json
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.prompts.shard import Shard, shard_number
from engine.prompts.sources import open_prompts

IDS = st.one_of(
    st.text(min_size=1, max_size=40).filter(lambda id: id.isprintable()),
    st.integers().map(str),
    st.uuids().map(str),
    st.binary(min_size=8, max_size=8).map(bytes.hex),
)


@given(IDS, st.integers(1, 400))
def test_an_id_is_in_exactly_one_shard(id, of):
    assert [Shard(n, of).holds(id) for n in range(1, of + 1)].count(True) == 1
    assert Shard(shard_number(id, of), of).holds(id)


def test_the_hash_is_the_same_in_every_process_and_for_ever():
    code = "from engine.prompts.shard import shard_number as n; print(n('p0', 8), n('é', 1000))"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["3", "400"]


@pytest.mark.parametrize("make", ["p{}".format, "{}".format, "{:032x}".format])
def test_shards_are_of_about_one_size(make):
    sizes = [0] * 8
    for n in range(8000):
        sizes[shard_number(make(n), 8) - 1] += 1
    assert min(sizes) > 850 and max(sizes) < 1150


@pytest.mark.parametrize("text", ["0/8", "9/8", "1/0", "8", "1/", "-1/8", "1/8/2", "a/b", "1 / 8"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="write I/N with I from 1 to N"):
        Shard.parse(text)


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_prompts(path)


@pytest.mark.parametrize("of", [1, 2, 7, 60])
@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize("counted", [True, False])
def test_parts_are_the_whole_and_know_their_size(tmp_path, of, with_ids, counted):
    ids = [{"id": f"p{n}"} if with_ids else {} for n in range(50)]
    rows = [{**id, "prompt": f"Question {n % 40}?"} for n, id in enumerate(ids)]  # some come twice
    written(tmp_path / "p.jsonl", rows)
    source = open_prompts(tmp_path / "p.jsonl", shards=of if counted else None)
    parts = [source.part(Shard(n, of)) for n in range(1, of + 1)]
    found = [prompt for part in parts for prompt in part]
    assert sorted(found, key=lambda prompt: prompt.row) == list(source)
    assert [part.count for part in parts] == [len(list(part)) for part in parts]
    assert {(part.whole, part.hash) for part in parts} == {(50, source.hash)}
    assert source.shard is None and source.count == 50


def test_shards_that_are_known_are_counted_while_the_file_is_checked(tmp_path):
    written(tmp_path / "p.jsonl", [{"prompt": f"Question {n}?"} for n in range(50)])
    source = open_prompts(tmp_path / "p.jsonl", shards=4)
    (tmp_path / "p.jsonl").unlink()
    assert sum(source.part(Shard(number, 4)).count for number in range(1, 5)) == 50
    with pytest.raises(FileNotFoundError):  # another number has to be counted
        source.part(Shard(1, 5))


def test_a_shard_notices_that_one_of_its_rows_has_changed(tmp_path):
    rows = [{"id": f"p{n}", "prompt": f"Question {n}?"} for n in range(50)]
    written(tmp_path / "p.jsonl", rows)
    source = open_prompts(tmp_path / "p.jsonl", shards=3)
    first = next(iter(source.part(Shard(2, 3))))
    rows[first.row]["prompt"] = "Another question?"
    written(tmp_path / "p.jsonl", rows)
    assert len(list(source.part(Shard(1, 3)))) == source.part(Shard(1, 3)).count
    with pytest.raises(InputError, match="changed while it was being read"):
        list(source.part(Shard(2, 3)))


def test_the_order_of_the_file_moves_no_prompt(tmp_path):
    rows = [{"id": f"p{n}", "prompt": f"Question {n}?"} for n in range(60)]
    before = {p.id for p in written(tmp_path / "a.jsonl", rows).part(Shard(2, 5))}
    random.Random(1).shuffle(rows)
    assert {p.id for p in written(tmp_path / "b.jsonl", rows).part(Shard(2, 5))} == before
