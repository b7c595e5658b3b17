"""Commands in shards and `solon gather`, as a person uses them."""

import json
import shutil

import pytest

from constitution.problems import InputError
from engine.generators.scripted import ScriptedGenerator
from engine.runs.ray_shards import RayProgress
from engine.runs.ray_worker import ShardWorker
from scripts.solon import app

RULES = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
"""
COMMANDS = {
    "revise": ["-c", "rules.yaml", "-m", "scripted:script.yaml"],
    "label": ["-c", "rules.yaml", "--policy", "scripted:script.yaml", "--judge", "scripted"],
    "answer": ["-m", "scripted:script.yaml"],
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Question {n}?"}) for n in range(30)]
    (tmp_path / "p.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    script = "rules:\n  - {match: 'Question 7', fail: context_overflow}\n"
    (tmp_path / "script.yaml").write_text(script, encoding="utf-8")
    return tmp_path


def solon(*words):
    """Its exit code."""
    return app([str(word) for word in words], standalone_mode=False) or 0


def records(run):
    return sorted((run / "records.jsonl").read_bytes().splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_shards_gathered_are_the_run_and_go_on_as_it(place, command, capfd):
    words = [command, "-p", "p.jsonl", *COMMANDS[command]]
    assert solon(*words, "-o", "whole") == 1
    codes = [
        solon(*words, "-o", "out", "--shard", "1/2"),
        solon(*words, "-o", "out", "--shard", "2/2", "--scratch", "disk"),
    ]
    assert sorted(codes) == [0, 1]  # the prompt that fails is in one of them
    capfd.readouterr()
    assert solon("gather", "out", "--merge-caches") == 1
    told = capfd.readouterr().out
    assert "2 shards gathered: 29 records, 1 failed" in told and "caches of 1 shards" in told
    assert records(place / "out") == records(place / "whole")
    assert solon("gather", "out") == 1
    assert "complete already (--overwrite gathers again)" in capfd.readouterr().out
    assert solon(*words, "-o", "out") == 1
    assert "nothing to do" in capfd.readouterr().err
    assert solon("report", "out") == 0


def test_a_plan_is_of_the_shard(place, capfd):
    words = ["revise", "-p", "p.jsonl", *COMMANDS["revise"], "-o", "out", "--plan"]
    counts = []
    for number in (1, 2):
        assert solon(*words, "--shard", f"{number}/2") == 0
        told = capfd.readouterr().out.split()
        counts.append(int(told[told.index("conversations") + 1]))
    assert sum(counts) == 30 and min(counts) > 0
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--shard", "0/2"], "count from 1"),
        (["--shard", "3"], "is not a shard"),
        (["--scratch", "disk"], "is for one shard of a run"),
    ],
)
def test_wrong_shards_are_one_line(more, what):
    words = ["answer", "-p", "p.jsonl", *COMMANDS["answer"], "-o", "out"]
    with pytest.raises(InputError, match=what) as refused:
        solon(*words, *more)
    assert len(refused.value.problems) == 1


def test_shards_of_two_numbers_do_not_meet(place):
    words = ["answer", "-p", "p.jsonl", *COMMANDS["answer"], "-o", "out"]
    solon(*words, "--shard", "1/2")
    with pytest.raises(InputError, match=r"is one of 2 shards.*write --shard I/2"):
        solon(*words, "--shard", "2/3")
    solon(*words, "--shard", "2/2")


def test_an_evaluation_in_shards_asks_nothing_again(place, monkeypatch, capfd):
    words = ["evaluate", "-c", "rules.yaml", "-p", "p.jsonl", "--judge", "scripted"]
    words += ["--model", "base=scripted", "--model", "dpo=scripted:script.yaml", "--per-set", "4"]
    words += ["--attack", "role_play"]
    assert solon(*words, "-o", "whole") == 0
    for number in range(1, 4):
        disk = ["--scratch", "disk"] if number == 2 else []
        assert solon(*words, "-o", "out", "--shard", f"{number}/3", *disk) == 0
    with pytest.raises(InputError, match="holds shards, which `solon gather"):
        solon(*words, "-o", "out")
    assert solon("gather", "out") == 0
    asked = []

    async def note(self, messages, *rest, **more):
        asked.append(messages)
        raise AssertionError("asked again")

    for name in ("choose", "score"):
        monkeypatch.setattr(ScriptedGenerator, name, note)
    assert solon(*words, "-o", "out") == 0
    assert asked == []
    whole, made = (place / name / "results.json" for name in ("whole", "out"))
    assert made.read_bytes() == whole.read_bytes()


class InThisProcess:
    """In place of Ray: one worker that does all shards."""

    def __init__(self, job, *, address, gpus, workers):
        assert (address, gpus, workers) == ("local", 0, 2)
        self.job = job

    async def execute(self, on_progress):
        worker = ShardWorker(self.job)
        for shard in range(1, self.job.shards + 1):
            assert not (await worker.work(shard)).problem
            on_progress(RayProgress(self.job.shards, shard, 0, 0, (await worker.progress(),)))
        await worker.stop()

    def close(self):
        pass


ON_RAY = ["--ray", "local", "--shards", "3", "--gpus-per-worker", "0", "--workers", "2"]


@pytest.mark.parametrize("command", COMMANDS)
def test_shards_on_ray_are_gathered_when_they_are_done(place, command, monkeypatch, capfd):
    monkeypatch.setattr("scripts.commands.ray_run.RayShards", InThisProcess)
    words = [command, "-p", "p.jsonl", *COMMANDS[command]]
    assert solon(*words, "-o", "whole") == 1
    assert solon(*words, "-o", "out", *ON_RAY, "--scratch", "disk") == 1
    assert "3 shards gathered: 29 records, 1 failed" in capfd.readouterr().out
    assert records(place / "out") == records(place / "whole")
    assert solon(*words, "-o", "out", *ON_RAY) == 0
    assert "nothing to do" in capfd.readouterr().err


def test_an_evaluation_on_ray_makes_its_page(place, monkeypatch):
    monkeypatch.setattr("scripts.commands.ray_run.RayShards", InThisProcess)
    words = ["evaluate", "-c", "rules.yaml", "-p", "p.jsonl", "--judge", "scripted"]
    words += ["--model", "base=scripted", "--model", "dpo=scripted:script.yaml", "--per-set", "4"]
    assert solon(*words, "-o", "whole") == 0
    assert solon(*words, "-o", "out", *ON_RAY, "--scratch", "disk") == 0
    whole, made = (place / name / "results.json" for name in ("whole", "out"))
    assert made.read_bytes() == whole.read_bytes()
    assert solon(*words, "-o", "out", *ON_RAY) == 0


def test_what_is_added_to_a_finished_evaluation_is_asked_on_ray(place, monkeypatch):
    asked, shards = [], []

    class Noting(InThisProcess):
        async def execute(self, on_progress):
            shards.append(self.job.shards)
            asked.append("by the workers")
            await super().execute(on_progress)
            asked.append("here")

    generate = ScriptedGenerator.generate

    async def note(self, request):
        asked.append(request)
        return await generate(self, request)

    monkeypatch.setattr(ScriptedGenerator, "generate", note)
    monkeypatch.setattr("scripts.commands.ray_run.RayShards", Noting)
    words = ["evaluate", "-c", "rules.yaml", "-p", "p.jsonl", "--judge", "scripted", *ON_RAY]
    words += ["-o", "out", "--per-set", "4", "--model", "base=scripted"]
    added = ["--model", "dpo=scripted:other.yaml"]
    script = "rules:\n  - {match: Question, reply: Well.}\n"
    (place / "other.yaml").write_text(script, encoding="utf-8")
    for more, new in (
        ([], True),
        ([], False),
        (added, True),
        ([*added, "--attack", "role_play"], True),
    ):
        asked.clear()
        assert solon(*words, *more) == 0
        assert (len(asked) > 2) == new and asked[-1:] in ([], ["here"])
    assert len(json.loads((place / "out/results.json").read_bytes())["models"]) == 2

    shutil.rmtree(place / "out/shards")
    shards.clear()
    assert solon(*words, *added) == 0 and not shards, "all of it is in the evaluation's own cache"
    with pytest.raises(AssertionError, match="holds a run that is not in shards"):
        solon(*words, "--model", "third=scripted:other.yaml")
    assert shards == [3]
