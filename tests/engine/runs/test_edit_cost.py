"""What an edit is said to cost is what going on with it then generates."""

import asyncio
import json
import shutil

import pytest

from constitution.problems import InputError
from engine.generators.scripted import Script, ScriptedGenerator, ScriptRule
from engine.prompts.rows import Columns
from engine.prompts.shard import Shard
from engine.prompts.sources import PromptSource, open_prompts
from engine.runs.edit_cost import edit_cost
from engine.runs.run import RevisionRun
from engine.settings import roles
from tests.engine.builders import constitution, paper, principle

COUNT = 150
IDS = [f"p{index}" for index in range(8)]


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": f"q{row}", "prompt": f"Question {row}?"} for row in range(COUNT)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def execute(out, prompts, rules, settings, generator=None, mode="resume"):
    """Runs to the end; gives the counters of this process."""
    source = prompts if isinstance(prompts, PromptSource) else open_prompts(prompts)
    run = RevisionRun(
        out, source, rules, roles(generator or ScriptedGenerator()), settings, mode=mode
    )

    async def work():
        try:
            await run.execute()
            return run.progress()
        finally:
            await run.close()

    return asyncio.run(work())


class Asked(ScriptedGenerator):
    """Remembers for which prompts it was asked anything."""

    def __init__(self):
        super().__init__()
        self.rows = set()

    async def generate(self, request):
        self.rows.add(request.priority)
        return await super().generate(request)

    async def choose(self, messages, choices, *, priority=0):
        self.rows.add(priority)
        return await super().choose(messages, choices, priority=priority)


def with_principles(rules, *changed):
    return rules.model_copy(update={"principles": tuple(changed)})


def edits(rules):
    kept = rules.principles
    reworded = kept[2].model_copy(update={"statement": "The assistant is calm."})
    asked = kept[2].model_copy(update={"revision": "Say it again, and calmly."})
    return {
        "reworded": with_principles(rules, *kept[:2], reworded, *kept[3:]),
        "revision reworded": with_principles(rules, *kept[:2], asked, *kept[3:]),
        "added": with_principles(rules, *kept, principle("new")),
        "removed": with_principles(rules, *kept[1:]),
        "re-weighted": with_principles(rules, kept[0].model_copy(update={"weight": 9}), *kept[1:]),
        "preamble": rules.model_copy(update={"preamble": "A library."}),
        "untouched": rules.model_copy(update={"version": "2.0.0"}),
    }


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("edit", list(edits(constitution(*IDS))))
def test_the_cost_is_what_the_update_generates(tmp_path, prompts, edit, rounds):
    rules, settings = constitution(*IDS), paper(rounds=rounds, seed=3)
    execute(tmp_path / "run", prompts, rules, settings)
    new = edits(rules)[edit]
    cost = edit_cost(tmp_path / "run", new)
    assert cost.made_with == rules.content_hash
    asked = Asked()
    done = execute(tmp_path / "run", prompts, new, settings, asked, mode="update")
    assert sum(cost.plan.calls.values()) == done.counts.generated_requests
    assert cost.plan.cached_calls == done.counts.cached_requests
    assert cost.plan.conversations_to_generate == len(asked.rows)
    assert (len(asked.rows) == 0) == (edit == "untouched")


def test_long_replies_are_planned_as_accepted(tmp_path, prompts):
    """Later rounds build on earlier revisions, so a planned revision must stand."""
    script = Script(
        rules=(
            ScriptRule(match="Write the critique only", reply="Too loud. " * 90),
            ScriptRule(match="Write the revised reply only", reply=["A. " * 80, "B. " * 70]),
        )
    )
    rules, settings = constitution(*IDS), paper(rounds=3)
    execute(tmp_path / "run", prompts, rules, settings, ScriptedGenerator(script))
    new = edits(rules)["reworded"]
    cost = edit_cost(tmp_path / "run", new)
    assert cost.plan.prompt_tokens > 0
    done = execute(tmp_path / "run", prompts, new, settings, ScriptedGenerator(script), "update")
    made = done.counts.generated_requests
    # Two revisions of this script are alike, so that some rounds after one are in the cache.
    assert made <= sum(cost.plan.calls.values()) <= done.counts.requests


def test_it_changes_nothing_in_the_run(tmp_path, prompts):
    rules = constitution(*IDS)
    run = tmp_path / "run"
    execute(run, prompts, rules, paper())
    kept = ("manifest.json", "records.jsonl", "constitution.yaml")
    before = [(run / name).read_bytes() for name in kept]
    edit_cost(run, edits(rules)["reworded"])
    assert [(run / name).read_bytes() for name in kept] == before
    assert not (run / "previous").exists()


def test_tokens_are_told_from_the_runs_own_replies(tmp_path, prompts):
    rules = constitution(*IDS)
    execute(tmp_path / "run", prompts, rules, paper())
    plan = edit_cost(tmp_path / "run", edits(rules)["preamble"]).plan
    writing = plan.calls["critic"] + plan.calls["reviser"]
    mean = (plan.completion_tokens - plan.calls["judge"]) / writing
    assert 20 < mean < 60  # two dozen words, where 0.6 of max_tokens would be 300


def test_prompts_that_moved_can_be_named(tmp_path, prompts):
    rules, run = constitution(*IDS), tmp_path / "run"
    execute(run, prompts, rules, paper())
    new = edits(rules)["reworded"]
    expected = edit_cost(run, new).plan
    moved = tmp_path / "elsewhere.jsonl"
    shutil.move(prompts, moved)
    with pytest.raises(InputError, match=r"cannot be read from here .*--prompts"):
        edit_cost(run, new)
    assert edit_cost(run, new, prompts=moved).plan == expected
    rows = [json.loads(line) for line in moved.read_text(encoding="utf-8").splitlines()]
    moved.write_text(
        "".join(json.dumps({"id": row["id"], "ask": row["prompt"]}) + "\n" for row in rows),
        encoding="utf-8",
    )
    assert edit_cost(run, new, prompts=moved, columns=Columns(prompt="ask")).plan == expected


def test_the_runs_own_columns_and_limit_are_known(tmp_path):
    rules, run, path = constitution(*IDS), tmp_path / "run", tmp_path / "p.jsonl"
    rows = [{"n": f"q{row}", "ask": f"Question {row}?"} for row in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = open_prompts(path, prompt_column="ask", id_column="n", limit=10)
    execute(run, source, rules, paper())
    plan = edit_cost(run, edits(rules)["preamble"]).plan
    assert plan.conversations == plan.conversations_to_generate == 10


def test_other_prompts_are_refused(tmp_path, prompts):
    rules, run = constitution(*IDS), tmp_path / "run"
    execute(run, prompts, rules, paper())
    text = prompts.read_text(encoding="utf-8").replace("Question 7?", "Question seven?")
    prompts.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not the prompts that the run was made from"):
        edit_cost(run, rules)


def test_what_is_no_run_and_profiles_that_are_gone_are_told(tmp_path, prompts):
    rules = constitution(*IDS)
    with pytest.raises(InputError, match="is not a run"):
        edit_cost(tmp_path, rules)
    manifest = {"solon": 2, "kind": "label", "identity": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(InputError, match="is a directory of `solon label`"):
        edit_cost(tmp_path, rules)


@pytest.mark.parametrize("part", ["constitution", "prompts", "models", "settings"])
def test_a_damaged_manifest_is_one_line(tmp_path, prompts, part):
    rules, run = constitution(*IDS), tmp_path / "run"
    execute(run, prompts, rules, paper())
    whole = json.loads((run / "manifest.json").read_bytes())
    for damage in (None, 5, [], {}, {"policy": 1}):
        damaged = {**whole, "identity": {**whole["identity"], part: damage}}
        (run / "manifest.json").write_text(json.dumps(damaged), encoding="utf-8")
        if part == "settings" and damage == {}:
            continue  # all of them have a default
        with pytest.raises(InputError, match=r"manifest\.json: is damaged") as refused:
            edit_cost(run, rules)
        assert "\n" not in str(refused.value)


def test_a_shard_costs_what_its_own_update_generates(tmp_path, prompts):
    rules, settings = constitution(*IDS), paper(rounds=1)
    part = open_prompts(prompts).part(Shard(2, 3))
    execute(tmp_path / "run", part, rules, settings)
    new = edits(rules)["reworded"]
    cost = edit_cost(tmp_path / "run", new)
    done = execute(tmp_path / "run", part, new, settings, mode="update")
    assert cost.plan.conversations == part.count < COUNT
    assert 0 < sum(cost.plan.calls.values()) == done.counts.generated_requests
