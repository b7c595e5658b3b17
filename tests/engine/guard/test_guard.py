"""What the guard does with an answer, by what it breaks and by what could not be judged."""

import asyncio
import json

import pytest

from constitution.schema import Constitution, Principle, Stakeholder
from engine.generators.base import Choice, Completion, FailureReason, GenerationError
from engine.guard.audit import verify_chain
from engine.guard.tenants import Tenant
from engine.record_files import read_rows
from engine.records import Record
from engine.storage.jsonl import read_jsonl
from tests.engine.builders import Replies, in_turn
from tests.engine.guard.builders import Writing, asked, finding, guard, rules, streamed

LONG = "word " * 200


def answer(one, request=None):
    return asyncio.run(one.answer(request or asked()))


def logged(directory):
    rows = [row for path in sorted((directory / "audit").glob("2*")) for row in read_jsonl(path)]
    return [row for row in rows if row["event"] == "answer"]


@pytest.mark.parametrize(
    ("severity", "settings", "done", "text"),
    [
        ("low", {}, "passed", "bad"),
        ("critical", {}, "refused", "No."),
        ("medium", {"on_breach": "medium=hold"}, "held", "This answer waits"),
        ("high", {"on_breach": {"high": "refuse"}}, "refused", "No."),
    ],
)
def test_a_breach_is_treated_by_its_severity(tmp_path, severity, settings, done, text):
    model = Replies(in_turn("bad"), finding(one="bad"))
    with guard(tmp_path, rules(one=severity), model, **settings) as one:
        answered = answer(one)
    assert answered.done == done
    assert answered.text.startswith(text)
    assert logged(tmp_path)[0]["done"] == done
    assert logged(tmp_path)[0]["broken"] == ["one"]


def test_an_answer_is_revised_live_and_judged_once_before(tmp_path):
    model = Replies(in_turn("bad", "good now"), finding(one="bad", two="bad"))
    with guard(tmp_path, rules(one="high", two="high"), model) as one:
        answered = answer(one)
    assert (answered.done, answered.text) == ("revised", "good now")
    row = logged(tmp_path)[0]
    assert (row["answer"], row["given"]) == ("bad", "good now")
    of_the_answer = [q for q in model.questions if "<reply>\nbad\n" in q[-1].content]
    about = {q[-1].content.partition("of this reply? ")[2] for q in of_the_answer}
    assert len([text for text in about if text]) == len(of_the_answer) - 1 == 2


def test_a_revision_that_breaks_as_much_is_refused(tmp_path):
    model = Replies(in_turn("bad", "bad too", "still bad"), finding(one="bad"))
    with guard(tmp_path, rules(one="high"), model) as one:
        assert answer(one).done == "refused"


def test_a_revision_that_takes_too_long_is_refused(tmp_path):
    class Slow(Replies):
        async def generate(self, request):
            if self.requests:
                await asyncio.sleep(5)
            return await super().generate(request)

    model = Slow(in_turn("bad", "good"), finding(one="bad"))
    with guard(tmp_path, rules(one="high"), model, budget=0.05) as one:
        assert answer(one).done == "refused"
    assert "could not be revised" in logged(tmp_path)[0]["why"]


@pytest.mark.parametrize(
    ("severity", "settings", "done"),
    [
        ("medium", {}, "passed"),
        ("critical", {}, "refused"),
        ("critical", {"on_failure": "critical=open"}, "passed"),
        ("low", {"on_failure": "low=closed"}, "refused"),
    ],
)
def test_what_cannot_be_judged_passes_or_not_as_is_said(tmp_path, severity, settings, done):
    model = Replies(in_turn("fine"), finding(one=None))
    with guard(tmp_path, rules(one=severity), model, **settings) as one:
        assert answer(one).done == done
    assert logged(tmp_path)[0]["undecided"] == ["one"]


def test_a_judge_that_hangs_gives_no_verdict(tmp_path):
    class Hanging(Replies):
        async def choose(self, messages, choices, *, priority=0):
            await asyncio.sleep(60)

    judge = Hanging(in_turn())
    with guard(
        tmp_path, rules(one="high"), Replies(in_turn("x")), judge=judge, judge_seconds=0.05
    ) as one:
        assert answer(one).done == "refused"


def test_a_check_that_refuses_saves_the_judge(tmp_path):
    exact = Principle(
        id="exact", statement="S.", severity="critical", check={"forbid": ("secret",)}
    )
    judged = Principle(id="judged", statement="The assistant keeps judged.")
    constitution = Constitution(name="c", principles=(judged, exact))
    model = Replies(in_turn("the secret", "fine"), finding())
    with guard(tmp_path, constitution, model) as one:
        assert answer(one).done == "refused"
        assert model.questions == []
        assert answer(one).done == "passed"
        assert len(model.questions) == 1


def test_each_principle_costs_one_question_of_which_the_beginning_is_shared(tmp_path):
    model = Replies(in_turn("fine"), finding())
    with guard(tmp_path, rules(one="low", two="high", three="critical"), model) as one:
        answer(one)
    texts = [messages[-1].content for messages in model.questions]
    beginnings = {text.partition("Is the following true")[0] for text in texts}
    assert len(texts) == 3
    assert len(beginnings) == 1


def test_a_stream_sends_what_passed_and_stops_at_a_breach(tmp_path):
    text = LONG + "bad"
    model = Writing(lambda _: text, finding(one="bad"), range(0, len(text), 7))
    with guard(tmp_path, rules(one="high"), model) as one:
        pieces, answered = asyncio.run(streamed(one, asked(), 200))
    assert len(pieces) > 1
    assert answered.done == "refused", "what has left cannot be revised any more"
    assert answered.text == "".join(pieces) + "\n\nNo."
    assert logged(tmp_path)[0]["given"] == answered.text


def test_a_beginning_is_not_held_to_what_only_a_whole_answer_keeps(tmp_path):
    least = Principle(id="least", statement="S.", severity="high", check={"min_words": 150})
    constitution = Constitution(name="c", principles=(least,))
    model = Writing(lambda _: LONG, finding(), range(0, len(LONG), 9))
    with guard(tmp_path, constitution, model) as one:
        pieces, answered = asyncio.run(streamed(one, asked(), 200))
    assert answered.done == "passed"
    assert len(pieces) > 1


def test_a_false_alarm_only_delays(tmp_path):
    def verdict(messages):
        whole = "the end" in messages[-1].content
        return finding(one="word")(messages) if not whole else finding()(messages)

    text = LONG + "the end"
    model = Writing(lambda _: text, verdict, range(0, len(text), 9))
    with guard(tmp_path, rules(one="high"), model) as one:
        pieces, answered = asyncio.run(streamed(one, asked(), 200))
    assert (pieces, answered.done, answered.text) == ([], "passed", text)


def test_reasoning_is_neither_judged_nor_sent(tmp_path):
    text = f"<think>{'bad ' * 200}</think>\n\n{LONG}"
    model = Writing(lambda _: text, finding(one="bad"), range(0, len(text), 5))
    with guard(tmp_path, rules(one="critical"), model) as one:
        _, answered = asyncio.run(streamed(one, asked(), 200))
    assert (answered.done, answered.text) == ("passed", LONG.strip())


def test_the_answer_ends_before_a_stop(tmp_path):
    model = Replies(in_turn("One. STOP Two."), finding())
    with guard(tmp_path, rules(one="low"), model) as one:
        assert answer(one, asked(stop=("STOP",))).text == "One. "


def test_a_request_that_holds_what_is_forbidden_is_not_answered(tmp_path):
    model = Replies(in_turn(), finding())
    with guard(tmp_path, rules(one="low"), model, forbid_input=["/(?i)jailbreak/"]) as one:
        assert answer(one, asked("A JailBreak, please")).done == "refused"
    assert model.requests == []
    assert "JailBreak" in logged(tmp_path)[0]["why"]


@pytest.mark.parametrize(("probability", "done"), [(0.9, "refused"), (0.1, "passed")])
def test_the_judge_is_asked_about_the_request(tmp_path, probability, done):
    def verdict(messages):
        if "Is it rude?" in messages[-1].content:
            assert "<reply>" not in messages[-1].content
            return Choice((probability, 1 - probability), 1.0)
        return finding()(messages)

    model = Replies(in_turn("fine"), verdict)
    with guard(tmp_path, rules(one="low"), model, input_question="Is it rude?") as one:
        assert answer(one).done == done


def test_a_critical_breach_of_which_the_judge_is_sure_waits_for_a_person(tmp_path):
    model = Replies(in_turn("bad", "bad", "worse"), finding(one="bad", two="bad"))
    with guard(tmp_path, rules(one="critical", two="high"), model) as one:
        answer(one)
    (record,) = read_rows(tmp_path / "escalations.jsonl", Record)
    assert record.escalate
    assert record.final == "bad"
    assert record.unresolved == ("one", "two")


def test_a_profile_of_a_tenant_weighs_the_principles(tmp_path):
    shop = {"shop": Stakeholder(weights={"one": 0})}
    constitution = rules(one="critical", two="low").model_copy(update={"stakeholders": shop})
    model = Replies(in_turn("bad", "bad"), finding(one="bad"))
    with guard(tmp_path, constitution, model) as one:
        assert answer(one).done == "refused"
        assert answer(one, asked(profile=Tenant(stakeholder="shop"))).done == "passed"


def test_a_model_that_fails_is_logged_and_says_so(tmp_path):
    failed = GenerationError(FailureReason.SERVER_ERROR, "cut off")
    model = Replies(in_turn(failed), finding())
    with guard(tmp_path, rules(one="low"), model) as one, pytest.raises(GenerationError):
        answer(one)
    assert logged(tmp_path)[0]["done"] == "failed"


def test_a_client_that_leaves_is_logged_with_what_it_was_sent(tmp_path):
    async def leave(one):
        stream = one.stream(asked(), 200)
        first = await anext(stream)
        await stream.aclose()
        return first

    model = Writing(lambda _: LONG, finding(), range(0, len(LONG), 9))
    with guard(tmp_path, rules(one="low"), model) as one:
        first = asyncio.run(leave(one))
    assert first
    assert logged(tmp_path)[0]["done"] == "interrupted"
    assert logged(tmp_path)[0]["given"] == first


def test_a_guard_that_is_stopped_sends_no_more_of_a_stream(tmp_path):
    async def watch(one):
        pieces = []
        async for piece in one.stream(asked(), 200):
            pieces.append(piece)
            (tmp_path / "STOP").touch()
        return pieces

    model = Writing(lambda _: LONG, finding(), range(0, len(LONG), 9))
    with guard(tmp_path, rules(one="low"), model) as one:
        first, answered = asyncio.run(watch(one))
        again = answer(one)
    assert answered.done == again.done == "stopped"
    assert answered.text == f"{first}\n\nThe assistant is not available at the moment."
    assert len(model.requests) == 1, "a stopped guard asks no model"


def test_the_answer_that_opens_the_breaker_does_not_leave(tmp_path):
    model = Replies(lambda _: "bad", finding(one="bad"))
    with guard(tmp_path, rules(one="low"), model, rule="low>2/5min") as one:
        done = [answer(one).done for _ in range(4)]
    assert done == ["passed", "passed", "stopped", "stopped"]


def test_nothing_of_a_key_and_without_text_nothing_that_was_said_is_kept(tmp_path):
    secret = "sk-" + "a1B2" * 8
    model = Replies(in_turn(f"bad: your key is {secret}"), finding(one="bad"))
    with guard(tmp_path, rules(one="critical"), model) as one:
        answer(one, asked(f"My key is {secret} and I am at ann@example.org"))
    kept = "".join(p.read_text("utf-8") for p in tmp_path.rglob("*.jsonl"))
    assert secret not in kept
    assert "ann@example.org" not in kept
    assert kept.count("[redacted]") >= 4
    assert verify_chain(tmp_path).problems == []

    with guard(tmp_path / "quiet", rules(one="low"), Replies(in_turn("hush")), text=False) as one:
        answer(one, asked("whisper"))
    row = json.dumps(logged(tmp_path / "quiet"))
    assert "whisper" not in row and "hush" not in row


def test_a_truncated_answer_says_so(tmp_path):
    cut = Completion("cut off", "length", 3, 0, 4)
    with guard(tmp_path, rules(one="low"), Replies(in_turn(cut), finding())) as one:
        answered = answer(one)
    assert answered.truncated
    assert (answered.prompt_tokens, answered.completion_tokens) == (3, 4)


def test_traces_hang_together(tmp_path):
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from dataclasses import replace

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    from engine.guard.tracing import Tracer

    spans, provider = export.InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    model = Replies(in_turn("bad", "good"), finding(one="bad"))
    with guard(tmp_path, rules(one="high"), model) as one:
        one.keeping = replace(one.keeping, tracer=Tracer(provider))
        answer(one)
    found = {span.name.split()[0]: span for span in spans.get_finished_spans()}
    assert set(found) == {"guard", "chat", "screen", "revise"}
    assert len({span.context.trace_id for span in found.values()}) == 1
    assert found["guard"].attributes["solon.done"] == "revised"
    assert found["chat"].attributes["gen_ai.request.model"] == "replies"
