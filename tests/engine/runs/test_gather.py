"""Shards of a run gathered: the run that one process would have made, or a clear refusal."""

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from constitution.problems import InputError
from engine.generators.base import Sampling
from engine.generators.scripted import Script, ScriptedGenerator, ScriptRule
from engine.prompts.shard import Shard
from engine.prompts.sources import open_prompts
from engine.runs.answer_run import AnswerRun
from engine.runs.finished_shards import finished_shards
from engine.runs.gather import gather_run
from engine.runs.label_run import LabelRun
from engine.runs.run import RevisionRun
from engine.runs.shards import RunPlace
from engine.settings import AnswerSettings, LabelSettings, LoopSettings, RoleModel, roles
from engine.storage.sqlite import SqliteStore, merge_stores
from tests.engine.builders import constitution, finish, principle

RULES = constitution("one", "two").model_copy(
    update={"principles": (principle("one", severity="critical"), principle("two"))}
)
SCRIPT = Script(
    rules=(
        ScriptRule(match="Question 1[0-4]", fail="context_overflow"),
        ScriptRule(match="Question 2[0-4]", fail="server_error"),
    )
)
FILES = ("records.jsonl", "failures.jsonl", "escalations.jsonl", "answers.jsonl")


@pytest.fixture
def prompts(tmp_path):
    rows = [{"id": f"p{n}", "prompt": f"Question {n}?", "source": "s"} for n in range(60)]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_prompts(path)


def opened(kind, directory, prompts, mode="resume", rules=RULES, sampling=None):
    generator = ScriptedGenerator(SCRIPT)
    model = RoleModel(generator, sampling or Sampling())
    if kind == "revise":
        cast = roles(generator, sampling=sampling)
        return RevisionRun(directory, prompts, rules, cast, LoopSettings(), mode=mode)
    if kind == "label":
        return LabelRun(directory, prompts, rules, model, model, LabelSettings(), mode=mode)
    return AnswerRun(directory, prompts, model, AnswerSettings(), mode=mode)


def shards(kind, out, prompts, of=3, numbers=None, **changed):
    for number in numbers or range(1, of + 1):
        place = RunPlace(out, Shard(number, of))
        with place.open() as directory:
            finish(opened(kind, directory, place.prompts(prompts), **changed))


def gather(out, mode="resume"):
    return gather_run(out, finished_shards(out), mode)


def lines(out):
    return {
        name: sorted((out / name).read_bytes().splitlines())
        for name in FILES
        if (out / name).exists()
    }


def manifest(out):
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("of", [1, 4])
@pytest.mark.parametrize("kind", ["revise", "label", "answer"])
def test_gathered_shards_are_what_one_process_would_have_written(tmp_path, prompts, kind, of):
    finish(opened(kind, tmp_path / "whole", prompts))
    shards(kind, tmp_path / "out", prompts, of)
    gather(tmp_path / "out")
    whole, made = manifest(tmp_path / "whole"), manifest(tmp_path / "out")
    assert lines(tmp_path / "out") == lines(tmp_path / "whole")
    assert made.pop("shards") == of
    for one in (whole, made):
        one.pop("created"), one.pop("updated"), one["usage"].pop("seconds")
    used, needed = made.pop("usage"), whole.pop("usage")
    assert made == whole
    assert all(used[name] >= needed[name] for name in needed)
    assert used == needed or of > 1
    assert (tmp_path / "out" / "constitution.yaml").exists() == (kind != "answer")


def test_shards_without_a_prompt_are_shards(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id": "a", "prompt": "Q?"}\n{"id": "b", "prompt": "Q?"}\n', encoding="utf-8")
    shards("revise", tmp_path / "out", open_prompts(path), of=5)
    assert gather(tmp_path / "out").totals["records"] == 2


@pytest.mark.parametrize("kind", ["revise", "label", "answer"])
def test_a_gathered_run_is_resumed_and_updated_as_any(tmp_path, prompts, kind):
    out = tmp_path / "out"
    shards(kind, out, prompts)
    gather(out)
    run = opened(kind, out, prompts)
    assert not run.complete  # what failed for a time is tried again
    assert run.progress().resumed == 55
    finish(run)
    more = [*prompts][:40]
    rows = [{"id": p.id, "prompt": p.messages[0].content, **p.extra} for p in more]
    path = tmp_path / "fewer.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = opened(kind, out, open_prompts(path), mode="update")
    assert run.directory.keeps_records and run.progress().resumed == 30
    finish(run)


def test_what_is_missing_unfinished_or_of_another_run_is_refused(tmp_path, prompts):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="holds no shards"):
        gather(out)
    shards("answer", out, prompts, of=4, numbers=(1, 3))
    with pytest.raises(InputError, match=r"2 are missing \(2, 4\).*--shard 2/4"):
        gather(out)
    place = RunPlace(out, Shard(2, 4))
    asyncio.run(opened("answer", place.home, place.prompts(prompts)).close())
    shards("answer", out, prompts, of=4, numbers=(4,))
    with pytest.raises(InputError, match=r"of 4 shards 1 is unfinished \(2\)"):
        gather(out)
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"rules": constitution("one", "two", "three")}, "constitution is test"),
        ({"sampling": Sampling(temperature=0.1)}, "temperature is 0.1"),
        ({"of": 5}, "one of 5 shards"),
        ({"kind": "answer"}, "solon answer"),
        ({"prompts": "fewer"}, "prompts is"),
    ],
)
def test_shards_of_different_runs_are_refused(tmp_path, prompts, changed, word):
    out = tmp_path / "out"
    shards("label", out, prompts, numbers=(1, 2))
    if "prompts" in changed:
        (tmp_path / "few.jsonl").write_text('{"id": "p1", "prompt": "Q?"}\n', encoding="utf-8")
        changed = {"prompts": open_prompts(tmp_path / "few.jsonl")}
    other = tmp_path / "other"  # as if made where the others could not be seen
    shards(out=other, numbers=(3,), **{"kind": "label", "prompts": prompts, "of": 3, **changed})
    (other / "shards" / "3").rename(out / "shards" / "3")
    with pytest.raises(InputError, match="is not of the same run as 1") as refused:
        gather(out)
    assert word in str(refused.value) and len(refused.value.problems) == 1


def test_rows_that_are_not_the_shards_are_refused(tmp_path, prompts):
    out = tmp_path / "out"
    shards("revise", out, prompts)
    records = [out / "shards" / str(n) / "records.jsonl" for n in (1, 2)]
    before = [path.read_bytes() for path in records]
    for content, what in [
        (before[0] + before[1], "is not one of shard 1/3"),
        (before[0][: before[0].index(b"\n") + 1], "holds 1 records where its manifest says"),
        (before[0].replace(b'"outcome"', b'"other"'), "it has no `outcome`"),
        (before[0] + before[0][: before[0].index(b"\n") + 1], "records where its manifest says"),
    ]:
        records[0].write_bytes(content)
        with pytest.raises(InputError, match=what):
            gather(out)
        with pytest.raises(InputError, match="solon gather"):
            opened("revise", out, prompts)
    records[0].write_bytes(before[0])
    assert gather(out).totals["records"] == 50


def test_a_directory_of_shards_is_no_run_and_a_run_no_directory_of_shards(tmp_path, prompts):
    shards("answer", tmp_path / "out", prompts)
    with pytest.raises(InputError, match="holds shards, which `solon gather"):
        opened("answer", tmp_path / "out", prompts)
    finish(opened("answer", tmp_path / "whole", prompts))
    with pytest.raises(InputError, match="holds a run that is not in shards"):
        shards("answer", tmp_path / "whole", prompts)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("milk", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds todo.txt"):
        shards("answer", tmp_path / "notes", prompts)


def test_a_shard_goes_on_only_as_itself(tmp_path, prompts):
    shards("answer", tmp_path / "out", prompts, numbers=(1,))
    with pytest.raises(InputError, match=r"is one of 3 shards, and this would be one of 4"):
        shards("answer", tmp_path / "out", prompts, of=4, numbers=(1,))


def test_gathering_again_does_nothing_or_what_it_is_told(tmp_path, prompts):
    out = tmp_path / "out"
    shards("answer", out, prompts)
    gather(out)
    before = lines(out)
    assert gather(out).before and lines(out) == before
    edited = Sampling(temperature=0.2)
    shards("answer", out, prompts, mode="overwrite", sampling=edited)
    with pytest.raises(InputError, match="holds another run: temperature was"):
        gather(out)
    assert not gather(out, "overwrite").before
    assert lines(out) != before


def test_an_update_in_shards_keeps_the_earlier_gathering(tmp_path, prompts):
    out, edited = tmp_path / "out", constitution("one", "two", "three")
    shards("label", out, prompts)
    gather(out)
    before = lines(out)
    shards("label", out, prompts, mode="update", rules=edited)
    gather(out, "update")
    assert lines(out / "previous" / "1") == before
    assert manifest(out)["complete"] and lines(out)["records.jsonl"] != before["records.jsonl"]


def test_an_unfinished_run_is_not_replaced_unasked(tmp_path, prompts):
    out = tmp_path / "out"
    shards("answer", out, prompts)
    gather(out)
    found = manifest(out)
    (out / "manifest.json").write_text(json.dumps({**found, "complete": False}), encoding="utf-8")
    with pytest.raises(InputError, match="an unfinished run of its own"):
        gather(out)


def killed_at(step, work):
    """Run `work` in a process that dies just before its `step`th change of a directory; whether it
    came that far."""
    child = os.fork()
    if child == 0:
        left = iter(range(step))

        def die(event, arguments):
            if event in ("os.rename", "os.remove", "os.mkdir") and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(die)
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("mode", ["resume", pytest.param("update", marks=pytest.mark.slow)])
def test_killed_at_any_change_of_a_file_and_run_again_it_is_gathered(tmp_path, prompts, mode):
    start, out = tmp_path / "start", tmp_path / "out"
    shards("label", start, prompts)
    if mode == "update":
        gather(start)
        shards("label", start, prompts, mode="update", rules=constitution("one", "two", "three"))
    shutil.copytree(start, tmp_path / "whole")
    gather(tmp_path / "whole", mode)
    wanted, step = lines(tmp_path / "whole"), 0
    while True:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(start, out)
        if not killed_at(step, lambda: gather(out, mode)):
            break
        gather(out, mode)
        assert lines(out) == wanted and manifest(out)["complete"], step
        assert len(list(out.glob("previous/*"))) == (mode == "update")
        assert not list(Path(out).glob(".*")), step
        step += 1
    assert step > (8 if mode == "resume" else 14)


def test_caches_are_merged_and_again_at_no_harm(tmp_path):
    for number in range(3):
        store = SqliteStore(tmp_path / f"{number}.sqlite")
        for key in range(number * 10, number * 10 + 15):
            store.put(b"%d" % key, b"value %d" % key)
        store.close()
    paths = [tmp_path / f"{number}.sqlite" for number in range(3)]
    assert merge_stores(tmp_path / "all.sqlite", paths) == 35
    assert merge_stores(tmp_path / "all.sqlite", paths) == 0
    store = SqliteStore(tmp_path / "all.sqlite")
    assert [store.get(b"%d" % key) for key in (0, 14, 34)] == [b"value 0", b"value 14", b"value 34"]
    assert store.get(b"35") is None
    store.close()
    (tmp_path / "bad.sqlite").write_bytes(b"no database at all, but long enough to be read" * 40)
    with pytest.raises(InputError, match=r"bad\.sqlite"):
        merge_stores(tmp_path / "all.sqlite", [tmp_path / "bad.sqlite"])
