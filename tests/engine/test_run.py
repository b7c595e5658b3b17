"""Run directories: resumed, updated, refused, locked; and what an edit costs."""

import asyncio
import json

import pytest

from constitution.problems import InputError
from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.scripted import ScriptedGenerator
from engine.jsonl_store import read_jsonl
from engine.plan import plan_run
from engine.prompts import open_prompts
from engine.run import RevisionRun
from engine.settings import LoopSettings, roles
from tests.engine.builders import Replies, constitution, principle

COUNT = 400


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{row}", "prompt": f"Question {row}?"} for row in range(COUNT)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_prompts(path)


def execute(out, source, rules, generator=None, settings=None, mode="resume"):
    run = RevisionRun(
        out, source, rules, roles(generator or Counted()), settings or LoopSettings(), mode=mode
    )

    async def work():
        try:
            return await run.execute()
        finally:
            await run.close()

    return asyncio.run(work())


def rows(path):
    return list(read_jsonl(path))


class Counted(ScriptedGenerator):
    """Counts generated requests by what was asked."""

    def __init__(self):
        super().__init__()
        self.answers = self.critiques = self.revisions = 0

    async def generate(self, request):
        asked = request.messages[-1].content
        if "Write the critique only" in asked:
            self.critiques += 1
        elif "Write the revised reply only" in asked:
            self.revisions += 1
        else:
            self.answers += 1
        return await super().generate(request)


SIXTEEN = [f"p{index}" for index in range(16)]


def edited(rules, name):
    changed = tuple(
        p.model_copy(update={"statement": "The assistant does something else."})
        if p.id == name
        else p
        for p in rules.principles
    )
    return rules.model_copy(update={"principles": changed})


def test_a_run_writes_a_record_for_every_prompt_and_says_it_is_complete(tmp_path, source):
    result = execute(tmp_path / "run", source, constitution("one", "two"))
    written = rows(tmp_path / "run" / "records.jsonl")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert {row["id"] for row in written} == {f"p{row}" for row in range(COUNT)}
    assert manifest["complete"]
    assert manifest["totals"]["records"] == COUNT
    assert result.totals["revised"] == COUNT
    assert written[0]["prompt"] == [{"role": "user", "content": "Question 0?"}] or len(written)


def test_a_finished_run_does_nothing_again(tmp_path, source):
    rules = constitution("one", "two")
    execute(tmp_path / "run", source, rules)
    before = (tmp_path / "run" / "records.jsonl").read_bytes()
    again = Counted()
    execute(tmp_path / "run", source, rules, again)
    assert (tmp_path / "run" / "records.jsonl").read_bytes() == before
    assert again.answers == again.critiques == 0


def test_editing_one_of_sixteen_generates_only_what_drew_it(tmp_path, source):
    rules = constitution(*SIXTEEN)
    execute(tmp_path / "run", source, rules)
    again = Counted()
    execute(tmp_path / "run", source, edited(rules, "p5"), again, mode="update")
    drew = sum(
        row["rounds"][0]["principle"] == "p5" for row in rows(tmp_path / "run" / "records.jsonl")
    )
    assert again.answers == 0
    assert 0 < again.critiques == drew <= COUNT * (1 / 16 + 0.03)
    assert len(rows(tmp_path / "run" / "previous" / "1" / "records.jsonl")) == COUNT


def test_adding_a_seventeenth_moves_about_a_seventeenth(tmp_path, source):
    rules = constitution(*SIXTEEN)
    execute(tmp_path / "run", source, rules)
    again = Counted()
    execute(tmp_path / "run", source, constitution(*SIXTEEN, "new"), again, mode="update")
    assert again.answers == 0
    assert 0 < again.critiques <= COUNT * (1 / 17 + 0.03)


def test_a_plan_says_exactly_what_an_edit_generates(tmp_path, source):
    rules = constitution(*SIXTEEN)
    settings = LoopSettings(rounds=2)
    execute(tmp_path / "run", source, rules, settings=settings)
    new = edited(rules, "p5")
    again = Counted()
    run = RevisionRun(tmp_path / "run", source, new, roles(again), settings, mode="update")
    plan = run.plan()

    async def work():
        await run.execute()
        await run.close()

    asyncio.run(work())
    assert plan.calls["policy"] == again.answers == 0
    assert plan.calls["critic"] == again.critiques
    assert plan.calls["reviser"] == again.revisions


def test_a_plan_without_a_cache_counts_every_call(source):
    settings = LoopSettings(rounds=3)
    plan = plan_run(source, COUNT, constitution("one", "two"), roles(ScriptedGenerator()), settings)
    assert plan.calls == {
        "policy": COUNT,
        "critic": 2 * COUNT,
        "reviser": 2 * COUNT,
        "judge": 2 * COUNT,
    }
    assert plan.conversations_to_generate == COUNT


def test_a_plan_of_many_prompts_is_scaled_from_some(source):
    rules = constitution("one")
    cast = roles(ScriptedGenerator())
    plan = plan_run(source, COUNT, rules, cast, LoopSettings(), most=50)
    assert plan.sampled == 50
    assert plan.calls["policy"] == COUNT


def test_an_edited_constitution_needs_update_and_says_so(tmp_path, source):
    execute(tmp_path / "run", source, constitution("one"))
    before = (tmp_path / "run" / "records.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"constitution was .* --update"):
        execute(tmp_path / "run", source, constitution("one", "two"))
    assert (tmp_path / "run" / "records.jsonl").read_bytes() == before


def test_anything_else_needs_overwrite_even_with_update(tmp_path, source):
    rules = constitution("one", "two")
    execute(tmp_path / "run", source, rules)
    other = LoopSettings(rounds=2)
    with pytest.raises(InputError, match=r"rounds was 1, now 2.*--overwrite"):
        execute(tmp_path / "run", source, rules, settings=other, mode="update")
    execute(tmp_path / "run", source, rules, settings=other, mode="overwrite")
    assert len(rows(tmp_path / "run" / "records.jsonl")[0]["rounds"]) == 2


def test_two_updates_keep_both_previous_runs(tmp_path, source):
    rules = constitution("one", "two")
    execute(tmp_path / "run", source, rules)
    execute(tmp_path / "run", source, edited(rules, "one"), mode="update")
    execute(tmp_path / "run", source, edited(edited(rules, "one"), "two"), mode="update")
    assert sorted(p.name for p in (tmp_path / "run" / "previous").iterdir()) == ["1", "2"]


def test_a_second_process_is_refused(tmp_path, source):
    rules = constitution("one")
    run = RevisionRun(tmp_path / "run", source, rules, roles(ScriptedGenerator()), LoopSettings())
    with pytest.raises(InputError, match="another process"):
        RevisionRun(tmp_path / "run", source, rules, roles(ScriptedGenerator()), LoopSettings())
    asyncio.run(run.close())


def test_a_directory_of_something_else_is_left_alone(tmp_path, source):
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match="is not a run"):
        execute(tmp_path, source, constitution("one"))


def test_failures_that_may_pass_are_tried_again_and_others_are_not(tmp_path, source):
    bad_day = True

    def reply(request):
        text = request.messages[0].content
        if bad_day and text in ("Question 3?", "Question 4?"):
            kind = FailureReason.TIMEOUT if "3" in text else FailureReason.CONTEXT_OVERFLOW
            return GenerationError(kind, "bad day")
        return f"Reply {len(request.messages)} {request.seed}."

    out = tmp_path / "run"
    first = execute(out, source, constitution("one"), Replies(reply))
    assert first.totals["failed"] == 2
    bad_day = False
    again = Replies(reply)
    execute(out, source, constitution("one"), again)
    assert {r.messages[0].content for r in again.requests} == {"Question 3?"}
    assert [row["id"] for row in rows(out / "failures.jsonl")] == ["p4"]
    assert len(rows(out / "records.jsonl")) == COUNT - 1


def test_an_engine_that_dies_leaves_a_run_that_resumes(tmp_path, source):
    alive = 100

    class Dying(ScriptedGenerator):
        async def generate(self, request):
            if request.priority > alive:
                raise GeneratorUnavailable("the engine died")
            return await super().generate(request)

    out = tmp_path / "run"
    with pytest.raises(GeneratorUnavailable):
        execute(out, source, constitution("one"), Dying())
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert not manifest["complete"]
    done = len(rows(out / "records.jsonl"))
    assert 0 < done < COUNT
    alive = COUNT
    execute(out, source, constitution("one"), Dying())
    assert len({row["id"] for row in rows(out / "records.jsonl")}) == COUNT


def test_escalations_are_whole_after_a_kill_between_record_and_escalation(tmp_path, source):
    rules = constitution().model_copy(
        update={"principles": (principle("one", severity="critical"),)}
    )
    out = tmp_path / "run"
    execute(out, source, rules)
    escalated = rows(out / "escalations.jsonl")
    assert escalated
    (out / "escalations.jsonl").write_text("", encoding="utf-8")
    execute(out, source, rules)
    assert rows(out / "escalations.jsonl") == escalated


def test_the_constitution_is_kept_as_it_was_used(tmp_path, source):
    from constitution import load_constitution

    rules = constitution("one", "two", preamble="Context.")
    execute(tmp_path / "run", source, rules)
    kept = load_constitution(tmp_path / "run" / "constitution.yaml")
    assert kept.content_hash == rules.content_hash
