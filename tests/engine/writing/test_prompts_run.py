"""Prompts from a constitution: a run like any other, and a file that `solon revise` reads."""

import asyncio
import json

import pytest

from constitution import load_constitution
from constitution.problems import InputError
from engine.generators.base import Choice, FailureReason, GenerationError, Sampling
from engine.prompts.sources import open_prompts
from engine.settings import RoleModel
from engine.writing.briefs import TRIES, ordinary_messages
from engine.writing.run import PromptsRun
from engine.writing.settings import PromptSettings
from tests.engine.builders import Replies, constitution

WORDS = (
    "apple bread chair dance early flour green house ivory jelly knife lemon money night".split()
)


def writer(request):
    """A different message for each seed, and a list of situations where one is asked for."""
    text = request.messages[-1].content
    if text.startswith("List") or "\nList " in text:
        return "1. Ann wants a refund.\n2. Bob wants a discount."
    seed = request.seed
    return " ".join(WORDS[(seed >> shift) % len(WORDS)] for shift in range(0, 30, 3)) + "?"


def write(tmp_path, reply=writer, *, rules=None, mode="resume", verdict=None, **settings):
    """Run to the end; the generator, the rows and the manifest."""
    rules = rules or constitution("calm", "kind")
    generator = Replies(reply, verdict)
    role = RoleModel(generator, Sampling())
    settings = PromptSettings(**{"per_principle": 6, "multi_turn": 0.0, **settings})
    roles = {"writer": role} | ({"policy": role, "judge": role} if settings.hard else {})
    file = tmp_path / "p.jsonl"
    run = PromptsRun(tmp_path / "p", file, rules, roles, settings, mode=mode)

    async def work():
        try:
            if not run.complete:
                await run.execute()
        finally:
            await run.close()

    asyncio.run(work())
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return generator, rows, json.loads((tmp_path / "p/manifest.json").read_bytes())


def test_prompts_are_tagged_and_say_where_they_are_from(tmp_path):
    _, rows, manifest = write(tmp_path)
    assert manifest["spread"]["by_principle"] == {"calm": 6, "kind": 6}
    assert manifest["complete"]
    assert manifest["spread"]["coverage"]["kind"] == {"lookalike": 4, "tempting": 8}
    row = rows[0]
    assert row["principle"] in row["tags"]
    assert row["situation"] in ("Ann wants a refund.", "Bob wants a discount.")
    assert row["models"] == {"writer": "replies"}
    assert row["brief"]["style"]
    assert open_prompts(tmp_path / "p.jsonl").count == 12


def test_the_same_command_asks_for_nothing_again(tmp_path):
    write(tmp_path)
    generator, rows, _ = write(tmp_path)
    assert generator.requests == []
    (tmp_path / "p.jsonl").unlink()
    generator, again, _ = write(tmp_path)
    assert generator.requests == []
    assert again == rows


def test_no_two_prompts_are_nearly_alike(tmp_path):
    said = "Please tell me now where the parcel is that I ordered last week from your shop"

    def alike(request):
        return f"{said} {request.seed % 5}" if "Write another one" in str(request.messages) else ""

    _, rows, manifest = write(tmp_path, alike)
    assert len(rows) == 1
    assert manifest["spread"]["alike"] == 17


def test_several_turns_end_with_the_users(tmp_path):
    def reply(request):
        asked = request.messages[-1].content
        return "Of course." if len(asked.split()) < 20 else writer(request)

    _, rows, _ = write(tmp_path, reply, multi_turn=1.0)
    roles = [[turn["role"] for turn in row["prompt"]] for row in rows]
    assert roles and all(one == ["user", "assistant", "user"] for one in roles)


def test_failures_are_counted_and_tried_again(tmp_path):
    broken = GenerationError(FailureReason.SERVER_ERROR, "gone")

    def fails(request):
        return broken if "keeps calm" in str(request.messages) else writer(request)

    _, _, manifest = write(tmp_path, fails)
    assert manifest["totals"]["failed"] == 9
    _, rows, manifest = write(tmp_path)
    assert manifest["totals"]["failed"] == 0
    assert len(rows) == 12


def test_hard_prompts_are_those_that_the_policy_fails(tmp_path):
    """The judge finds broken what answers a prompt with an apple in it."""

    def verdict(messages):
        violates = "apple" in messages[-1].content.split("<reply>")[0]
        return Choice((0.9, 0.1) if violates else (0.1, 0.9), 1.0)

    _, rows, manifest = write(tmp_path, verdict=verdict, hard=2, judge_anyway=True)
    tempting = [row for row in rows if row["kind"] == "tempting"]
    assert tempting and all("apple" in row["prompt"] and row["broken"] == 2 for row in tempting)
    assert manifest["totals"]["dropped"] > 0
    assert any("apple" not in row["prompt"] for row in rows if row["kind"] == "lookalike")


def test_another_constitution_needs_an_update(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match="constitution"):
        write(tmp_path, rules=constitution("calm", "kind", "fair"))
    generator, rows, _ = write(tmp_path, rules=constitution("calm", "kind", "fair"), mode="update")
    assert {row["principle"] for row in rows} == {"calm", "kind", "fair"}
    assert all("fair" in str(request.messages) for request in generator.requests)


def test_the_writer_goes_on_from_messages_that_it_seems_to_have_written(tmp_path):
    """What is shown before its last turn is the same for all requests of a principle and kind."""
    rules = load_constitution("customer-service")
    generator, _, _ = write(tmp_path, rules=rules, openings=0)
    asked = [r.messages for r in generator.requests if "Write one message" in str(r.messages)]
    assert asked and all(m[0].role == m[-1].role == "user" for m in asked)
    shown = {t.prompt for p in rules.principles for t in p.tests} | set(ordinary_messages())
    assert all(m.content in shown for one in asked for m in one if m.role == "assistant")
    assert len({one[:-1] for one in asked}) == 2 * 13


def test_an_opening_is_continued_without_the_test_that_it_is_of(tmp_path):
    rules = load_constitution("customer-service")
    generator, rows, _ = write(tmp_path, rules=rules)
    asked = [r.messages for r in generator.requests if "Write one message" in str(r.messages)]
    assert asked and all(one[-1].role == "assistant" for one in asked)
    for one in asked:
        begun, shown = one[-1].content, [m.content for m in one[1:-1] if m.role == "assistant"]
        assert not any(text.startswith(begun) for text in shown)
    assert rows and all(row["prompt"].startswith(row["brief"]["opening"]) for row in rows)
    assert all(row["situation"] is None for row in rows)


def test_a_model_that_cannot_continue_is_told_the_opening(tmp_path):
    def refuses(request):
        if request.messages[-1].role == "assistant":
            return GenerationError(FailureReason.REJECTED, "unknown field")
        return writer(request)

    rules = load_constitution("customer-service")
    generator, rows, manifest = write(tmp_path, refuses, rules=rules, per_principle=2)
    assert len(rows) == 26 and manifest["totals"]["failed"] == 0
    told = [r.messages[-1].content for r in generator.requests if r.messages[-1].role == "user"]
    assert all(any(row["brief"]["opening"] in text for text in told) for row in rows)


def test_what_is_no_message_is_asked_for_again(tmp_path):
    """Twice, with another seed and, after an opening, at greater length."""
    rules = load_constitution("customer-service")
    generator, rows, manifest = write(tmp_path, lambda request: ".", rules=rules, per_principle=1)
    asked = [r for r in generator.requests if "Write one message" in str(r.messages)]
    assert rows == [] and manifest["totals"]["dropped"] == len(asked) / TRIES
    by_request = {}
    for request in asked:
        by_request.setdefault(request.messages, []).append(request)
    lengths = [[r.sampling.min_tokens for r in tried[:TRIES]] for tried in by_request.values()]
    assert all(sorted(one) == [6, 12, 24] for one in lengths)
    assert all(len({r.seed for r in tried}) == len(tried) for tried in by_request.values())


def test_what_is_no_situation_is_not_written_about(tmp_path):
    def lists(request):
        if "List " in request.messages[-1].content:
            return "1. User A:\n2. late parcel\n3. " + "a message already " * 4
        return writer(request)

    _, rows, _ = write(tmp_path, lists)
    assert {row["situation"] for row in rows} == {"late parcel"}


def test_a_rule_in_a_list_of_situations_is_no_situation(tmp_path):
    def ruled(request):
        said = writer(request)
        return f"***\n{said}\n---\n**\n" if said.startswith("1. ") else said

    _, rows, manifest = write(tmp_path, ruled)
    assert {row["situation"] for row in rows} <= {"Ann wants a refund.", "Bob wants a discount."}
    assert set(manifest["situations"].values()) == {2}
