"""Run directories: resumed, updated, refused, locked; and what an edit costs."""

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest

from constitution.problems import InputError
from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.scripted import ScriptedGenerator
from engine.prompts.sources import open_prompts
from engine.runs import output as run_output
from engine.runs.plan import plan_run
from engine.runs.run import RevisionRun
from engine.settings import roles
from engine.storage.jsonl import read_jsonl
from tests.engine.builders import Replies, constitution, finish, paper, principle

COUNT = 400


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{row}", "prompt": f"Question {row}?"} for row in range(COUNT)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_prompts(path)


def execute(out, source, rules, generator=None, settings=None, mode="resume"):
    run = RevisionRun(
        out, source, rules, roles(generator or Counted()), settings or paper(), mode=mode
    )
    return finish(run)


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
    settings = paper(rounds=2)
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
    settings = paper(rounds=3)
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
    plan = plan_run(source, COUNT, rules, cast, paper(), most=50)
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
    other = paper(rounds=2)
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
    run = RevisionRun(tmp_path / "run", source, rules, roles(ScriptedGenerator()), paper())
    with pytest.raises(InputError, match="another process"):
        RevisionRun(tmp_path / "run", source, rules, roles(ScriptedGenerator()), paper())
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


def test_what_earlier_processes_used_is_counted_after_a_resume(tmp_path, source):
    """Three processes of one run use what one process would: nothing twice, nothing forgotten."""
    alive, rules = 120, constitution("one", "two")

    class Dying(ScriptedGenerator):
        async def generate(self, request):
            if request.priority > alive:
                raise GeneratorUnavailable("the engine died")
            completion = await super().generate(request)
            return replace(completion, prompt_tokens=10, completion_tokens=3, cached_tokens=4)

    out, whole = tmp_path / "run", tmp_path / "whole"
    seconds, generated = [], []
    for dies_after in (120, 260, COUNT):
        alive = dies_after
        with contextlib.suppress(GeneratorUnavailable):
            execute(out, source, rules, Dying())
        seconds.append(manifest(out)["usage"]["seconds"])
        generated.append(manifest(out)["usage"]["generated_requests"])
    execute(whole, source, rules, Dying())
    ours, theirs = manifest(out)["usage"], manifest(whole)["usage"]
    for key in ("generated_requests", "prompt_tokens", "cached_prompt_tokens", "completion_tokens"):
        assert ours[key] == theirs[key] > 0, key
    assert 0 < generated[0] < generated[1] < generated[2]
    assert seconds == sorted(seconds) and seconds[0] > 0
    execute(out, source, rules, Dying())
    assert manifest(out)["usage"]["generated_requests"] == generated[2], "it had nothing to do"


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


# Kills and foreign files ----------------------------------------------------------------------------


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of ours catches it."""


def kill_at(monkeypatch, module, name, call):
    """Raise Killed just before the `call`th use of a function."""
    real, calls = getattr(module, name), iter(range(1, 1000))

    def function(*arguments, **named):
        if next(calls) == call:
            raise Killed
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, function)


def manifest(path):
    return json.loads((path / "manifest.json").read_text(encoding="utf-8"))


def test_killed_before_the_last_manifest_it_is_completed_by_the_same_command(tmp_path, source):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    written = {**manifest(out), "status": "running", "complete": False}
    (out / "manifest.json").write_text(json.dumps(written), encoding="utf-8")
    counted = Counted()
    execute(out, source, rules, counted)
    assert manifest(out)["complete"] is True
    assert counted.answers == 0


def test_a_draft_of_the_first_manifest_is_no_foreign_file(tmp_path, source):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".manifest.json.123").write_text("{", encoding="utf-8")
    execute(out, source, constitution("one"))
    assert manifest(out)["complete"] is True
    assert not list(out.glob(".manifest*"))


@pytest.mark.parametrize("mode", ["update", "overwrite"])
@pytest.mark.parametrize("step", range(1, 8))
def test_killed_while_making_room_nothing_is_lost_or_called_complete(
    tmp_path, source, monkeypatch, mode, step
):
    """Every rename and deletion of taking a directory over is a moment to die at."""
    out, old = tmp_path / "run", constitution("one", "two")
    execute(out, source, old)
    (out / "exports").mkdir()
    (out / "exports" / "train.jsonl").write_text("{}\n", encoding="utf-8")
    before = (out / "records.jsonl").read_bytes()
    new = edited(old, "one")
    with monkeypatch.context() as patch:
        if mode == "update":
            kill_at(patch, run_output.os, "replace", step)
        else:
            kill_at(patch, run_output, "remove", step)
        try:
            execute(out, source, new, mode=mode)
        except Killed:
            whole = (out / "records.jsonl").exists()
            assert whole or not manifest(out)["complete"]
    execute(out, source, new, mode=mode)
    assert manifest(out)["complete"] is True
    hashes = {row["constitution"] for row in rows(out / "records.jsonl")}
    assert hashes == {new.content_hash}
    assert len(rows(out / "records.jsonl")) == COUNT
    assert not (out / "exports").exists()
    if mode == "update":
        assert (out / "previous" / "1" / "records.jsonl").read_bytes() == before
        assert manifest(out / "previous" / "1")["complete"] is True


def test_opening_a_run_with_failures_does_not_leave_it_complete(tmp_path, source):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    with (out / "failures.jsonl").open("a", encoding="utf-8") as file:
        failure = {"id": "p0", "row": 0, "stage": "policy", "reason": "server_error"}
        file.write(json.dumps({**failure, "message": "", "retryable": True}) + "\n")
    kept = rows(out / "records.jsonl")
    records = [row for row in kept if row["id"] != "p0"]
    text = "".join(json.dumps(row) + "\n" for row in records)
    (out / "records.jsonl").write_text(text, encoding="utf-8")
    totals = {**manifest(out)["totals"], "records": COUNT - 1, "failed": 1}
    written = {**manifest(out), "totals": totals}
    (out / "manifest.json").write_text(json.dumps(written), encoding="utf-8")
    run = RevisionRun(out, source, rules, roles(ScriptedGenerator()), paper())
    asyncio.run(run.close())
    assert manifest(out)["complete"] is False
    execute(out, source, rules)
    assert manifest(out)["totals"]["records"] == COUNT


@pytest.mark.parametrize("change", ["shorter", "repeated", "edited"])
def test_prompts_that_change_during_a_run_do_not_end_it_complete(tmp_path, source, change):
    path = tmp_path / "prompts.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = {
        "shorter": lines[:7],
        "repeated": lines[:7] * 2,
        "edited": [line.replace("Question", "Quiz") for line in lines],
    }[change]
    path.write_text("".join(changed), encoding="utf-8")
    with pytest.raises(InputError, match="changed while"):
        execute(tmp_path / "run", source, constitution("one"))
    assert manifest(tmp_path / "run")["complete"] is False


@pytest.mark.parametrize(
    "names", [["constitution.yaml"], ["records.jsonl"], ["previous_notes.txt"], ["lockers.csv"]]
)
def test_files_of_the_author_are_left_alone(tmp_path, source, names):
    out = tmp_path / "run"
    out.mkdir()
    for name in names:
        (out / name).write_text("mine\n", encoding="utf-8")
    for mode in ("resume", "update", "overwrite"):
        with pytest.raises(InputError, match="is not a run"):
            execute(out, source, constitution("one"), mode=mode)
    assert sorted(p.name for p in out.iterdir()) == sorted(names)


@pytest.mark.parametrize("text", ["{}", "null", "[1]", '{"identity": 5}', '{"name": "app"}', "{"])
def test_a_manifest_that_is_none_of_ours_is_never_adopted(tmp_path, source, text):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    (out / "manifest.json").write_text(text, encoding="utf-8")
    for mode in ("resume", "update", "overwrite"):
        with pytest.raises(InputError, match=r"manifest\.json"):
            execute(out, source, rules, mode=mode)
    assert len(rows(out / "records.jsonl")) == COUNT


def test_a_run_of_a_newer_version_is_refused(tmp_path, source):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    written = {**manifest(out), "solon": 99}
    (out / "manifest.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(InputError, match="format 99"):
        execute(out, source, rules)


@pytest.mark.parametrize("line", ["{}", '{"id": "x", "outcome": "revised"}'])
def test_a_row_of_something_else_is_named(tmp_path, source, line):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    lines[4] = line
    (out / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 5"):
        execute(out, source, rules)


def test_where_a_model_is_served_may_change_between_two_halves(tmp_path, source):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    moved = ScriptedGenerator(spec="scripted:elsewhere")
    execute(out, source, rules, moved)
    moved = ScriptedGenerator(spec="scripted:third")
    moved.fingerprint = "other weights"
    with pytest.raises(
        InputError, match="model was scripted:elsewhere, now scripted:third"
    ) as refused:
        execute(out, source, rules, moved)
    assert str(refused.value).count("third") == 1


@pytest.mark.parametrize("how", ["deleted", "cut", "replaced"])
def test_records_that_are_lost_during_a_run_do_not_end_it_complete(tmp_path, source, how):
    out, rules = tmp_path / "run", constitution("one")
    path = out / "records.jsonl"

    def lose():
        text = path.read_bytes()
        if how == "cut":
            path.write_bytes(b"".join(text.splitlines(keepends=True)[:3]))
            return
        path.unlink()
        if how == "replaced":
            path.write_bytes(text)

    class Losing(Counted):
        lost = False

        async def generate(self, request):
            if request.priority == COUNT // 2 and not self.lost:
                self.lost = True
                lose()
            return await super().generate(request)

    with pytest.raises(InputError, match=r"records\.jsonl: was deleted or changed"):
        execute(out, source, rules, Losing())
    assert manifest(out)["complete"] is False
    again = Counted()
    execute(out, source, rules, again)
    assert again.answers == again.critiques == 0, "what was generated is kept"
    assert {row["id"] for row in rows(path)} == {f"p{row}" for row in range(COUNT)}
    assert manifest(out)["complete"] is True


@pytest.mark.parametrize(
    "damage",
    [
        {"usage": 5},
        {"totals": {"records": "many"}},
        {"pending": {"delete": "everything"}},
        {"created": None},
        {"solon": "2"},
    ],
)
def test_a_damaged_manifest_is_one_line_and_loses_nothing(tmp_path, source, damage):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    text = json.dumps({**manifest(out), **damage})
    (out / "manifest.json").write_text(text, encoding="utf-8")
    for mode in ("resume", "update", "overwrite"):
        with pytest.raises(InputError, match=r"manifest\.json: is damaged") as refused:
            execute(out, source, rules, mode=mode)
        assert len(refused.value.problems) == 1 and "\n" not in str(refused.value)
    assert len(rows(out / "records.jsonl")) == COUNT


@pytest.mark.parametrize("part", ["models", "settings", "prompts", "constitution"])
def test_a_damaged_identity_is_another_run(tmp_path, source, part):
    out, rules = tmp_path / "run", constitution("one")
    execute(out, source, rules)
    identity = {**manifest(out)["identity"], part: 7}
    text = json.dumps({**manifest(out), "identity": identity})
    (out / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="holds another run"):
        execute(out, source, rules)
