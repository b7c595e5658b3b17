"""The loop for one conversation: what is asked, in which order, and what is recorded."""

import asyncio

import pytest

from constitution.schema import Severity
from engine.generators.base import Choice, Completion, FailureReason, GenerationError, Sampling
from engine.loop.asking import ConversationFailed, request_seed
from engine.loop.critique_revise import critique_and_revise
from engine.loop.rendering import critique_request, revision_request
from engine.messages import Message, TokenIds
from engine.records import DropReason, Flag, Outcome
from engine.settings import LoopSettings, RoleModel, Roles, roles
from tests.engine.builders import Replies, constitution, in_turn, paper, principle, prompt
from training.data.datasets import preference_row, sft_rows

KEPT = Choice((0.1, 0.9), 1.0)
BROKEN = Choice((0.9, 0.1), 1.0)


def run(generator, rules=None, settings=None, asked=None):
    rules = rules or constitution("one")
    cast = generator if isinstance(generator, Roles) else roles(generator)
    return asyncio.run(critique_and_revise(asked or prompt(), rules, cast, settings or paper()))


def test_one_round_asks_answer_critique_revision_and_checks_the_result():
    rules = constitution("one")
    model = Replies(in_turn("First.", "Too short.", "Second, longer."))
    record = run(model, rules)
    assert record.answer == "First."
    assert record.final == "Second, longer."
    assert record.outcome is Outcome.REVISED
    assert [r.messages[-1].content for r in model.requests] == [
        "What should I do?",
        critique_request(rules, rules.principles[0]),
        revision_request(rules, rules.principles[0]),
    ]
    assert len(model.questions) == 1
    assert "Second, longer." in model.questions[0][0].content
    assert record.final_verdicts[0].violates is False
    assert record.usage.requests == 4


def test_each_prompt_is_the_exact_prefix_of_the_next():
    said = iter(range(100))
    model = Replies(lambda request: f"Reply {next(said)}.")
    run(model, constitution("one", "two", "three"), paper(rounds=3))
    assert len(model.requests) == 7
    for shorter, longer in zip(model.requests, model.requests[1:], strict=False):
        assert longer.messages[: len(shorter.messages)] == shorter.messages


def test_generated_tokens_travel_with_their_turn():
    tokens = TokenIds("tokenizer", (1, 2, 3))
    first = Completion(" First. ", "stop", tokens=tokens)
    model = Replies(in_turn(first, "Critique.", "Second."))
    record = run(model)
    assert record.answer == "First."
    assert model.requests[1].messages[1] == Message("assistant", " First. ")
    assert model.requests[1].messages[1].tokens == tokens


def test_a_cleaned_revision_loses_its_tokens_in_the_next_round():
    labelled = Completion("Revised reply: Second.", "stop", tokens=TokenIds("t", (9,)))
    model = Replies(in_turn("First.", "Critique.", labelled, "Again.", "Third."))
    record = run(model, constitution("one", "two"), paper(rounds=2))
    turn = model.requests[3].messages[5]
    assert (turn.content, turn.tokens) == ("Second.", None)
    assert record.rounds[0].flags == (Flag.PREAMBLE_REMOVED,)
    assert record.final == "Third."


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("", DropReason.EMPTY_REVISION),
        ("  First.\n", DropReason.UNCHANGED_REVISION),
        (Completion("Second half", "length"), DropReason.TRUNCATED_REVISION),
        ("x" * 5000, DropReason.OVERLONG_REVISION),
        ("My last reply falls short because it is short.", DropReason.SPEAKS_AS_REVIEWER),
        (GenerationError(FailureReason.CONTEXT_OVERFLOW, "full"), DropReason.CONTEXT_OVERFLOW),
    ],
)
def test_an_unfit_revision_is_dropped_with_its_reason(revision, reason):
    record = run(Replies(in_turn("First.", "Critique.", revision)))
    assert record.outcome is Outcome.DROPPED
    assert record.drop_reason is reason
    assert record.final == "First."


@pytest.mark.parametrize(("length", "dropped"), [(3000, None), (3001, "overlong_revision")])
def test_how_long_a_revision_may_be_is_a_setting(length, dropped):
    model = Replies(in_turn("a" * 1500, "Critique.", "z" * length))
    record = run(model, settings=paper(longest_revision=2.0))
    assert record.drop_reason == dropped


def test_a_truncated_revision_can_be_kept_and_says_so():
    keep = paper(rounds=2, keep_truncated=True)
    model = Replies(
        in_turn("First.", "Critique.", Completion("Second ha", "length"), "Critique.", "")
    )
    record = run(model, constitution("one", "two"), keep)
    assert (record.outcome, record.final) == (Outcome.REVISED, "Second ha")
    assert record.rounds[0].flags == (Flag.TRUNCATED_REVISION,)
    assert record.rounds[1].dropped is DropReason.EMPTY_REVISION
    (row,) = sft_rows(record)
    assert row["truncated"] is preference_row(record)["truncated"] is True


def test_a_whole_revision_is_not_flagged_as_cut_where_cut_ones_are_kept():
    record = run(
        Replies(in_turn("First.", "Critique.", "Second.")), settings=paper(keep_truncated=True)
    )
    assert record.final == "Second." and not record.rounds[0].flags
    (row,) = sft_rows(record)
    assert row["truncated"] is False


def test_a_truncated_revision_is_kept_for_nothing_but_its_end():
    leaked = Completion("The reply fails to help, and mor", "length")
    keep = paper(keep_truncated=True)
    record = run(Replies(in_turn("First.", "Critique.", leaked)), settings=keep)
    assert record.drop_reason is DropReason.SPEAKS_AS_REVIEWER


def test_only_an_answer_that_ended_is_a_row_that_ends():
    cut = Completion("First ha", "length")
    record = run(Replies(in_turn(cut, "Critique.", "Second.")))
    (row,) = sft_rows(record)
    assert row["truncated"] is False
    assert preference_row(record)["truncated"] is True
    record = run(Replies(in_turn(cut), lambda _: KEPT), settings=LoopSettings())
    (row,) = sft_rows(record)
    assert row["truncated"] is True


def test_a_round_after_a_dropped_one_starts_from_the_answer_that_stands():
    model = Replies(in_turn("First.", "Critique.", "", "Other critique.", "Second."))
    record = run(model, constitution("one", "two"), paper(rounds=2))
    assert record.outcome is Outcome.REVISED
    assert record.rounds[0].dropped is DropReason.EMPTY_REVISION
    assert [m.content for m in model.requests[3].messages[:2]] == ["What should I do?", "First."]
    assert len(model.requests[3].messages) == 3


def test_a_critical_principle_still_broken_is_escalated():
    rules = constitution().model_copy(
        update={"principles": (principle("one", severity=Severity.CRITICAL),)}
    )
    broken = run(Replies(in_turn("First.", "C.", "Second."), lambda m: BROKEN), rules)
    undecided = run(
        Replies(in_turn("First.", "C.", "Second."), lambda m: Choice((0.5, 0.5), 0.0)), rules
    )
    kept = run(Replies(in_turn("First.", "C.", "Second."), lambda m: KEPT), rules)
    assert (broken.escalate, undecided.escalate, kept.escalate) == (True, True, False)
    assert broken.unresolved == ("one",)


def test_an_earlier_revision_that_a_later_one_undid_is_named():
    rules = constitution("one", "two")
    met = []

    def verdict(messages):
        met.append(messages)
        return BROKEN if rules.principle(first).statement in messages[0].content else KEPT

    draws = Replies(in_turn("1.", "C.", "2.", "C.", "3."), verdict)
    probe = run(Replies(in_turn("1.", "C.", "2.", "C.", "3.")), rules, paper(rounds=2))
    first = probe.rounds[0].principle
    record = run(draws, rules, paper(rounds=2))
    assert record.undone == (first,)


def test_rounds_that_come_to_nothing_leave_the_last_accepted_revision():
    """Accepted, accepted, dropped for three reasons: `final` is the second revision."""
    rules = constitution("one", "two", "three", "four", "five")
    empty, cut = "", Completion("Cut o", "length")
    turns = ("1.", "C.", "2.", "C.", "3.", "C.", empty, "C.", cut, "C.", "3.")
    asked = Replies(in_turn(*turns))
    record = run(asked, rules, paper(rounds=5))
    assert [round.dropped for round in record.rounds] == [
        None,
        None,
        DropReason.EMPTY_REVISION,
        DropReason.TRUNCATED_REVISION,
        DropReason.UNCHANGED_REVISION,
    ]
    assert (record.answer, record.final, record.outcome) == ("1.", "3.", Outcome.REVISED)
    assert record.drop_reason is None
    assert all(">\n3.\n<" in question[0].content for question in asked.questions)
    (row,) = sft_rows(record)
    assert row["completion"][0]["content"] == preference_row(record)["chosen"][0]["content"] == "3."


@pytest.mark.parametrize("nothing", ["", " \n", "<think>hm</think>\n", "<think>hm"])
def test_an_empty_answer_is_dropped_and_nothing_is_asked_about_it(nothing):
    model = Replies(in_turn(nothing))
    record = run(model)
    assert (record.outcome, record.drop_reason) == (Outcome.DROPPED, DropReason.EMPTY_ANSWER)
    assert (record.answer, record.final, record.rounds) == ("", "", ())
    assert len(model.requests) == 1 and model.questions == []


def test_whoever_watches_sees_each_role_write_and_each_step_with_its_tokens():
    class Writing(Replies):
        async def generate(self, request):
            completion = await super().generate(request)
            request.on_text(completion.text)
            return completion

    written, steps, rules = [], [], constitution("one")
    model = Writing(in_turn("First.", "Critique.", "Second."), lambda _: Choice((0.1, 0.9), 1.0, 7))
    work = critique_and_revise(
        prompt(),
        rules,
        roles(model),
        paper(),
        on_step=steps.append,
        on_text=lambda role, text: written.append((role, text)),
    )
    record = asyncio.run(work)
    assert written == [("policy", "First."), ("critic", "Critique."), ("reviser", "Second.")]
    assert [(step.role, step.tokens) for step in steps] == [
        ("policy", 15),
        ("critic", 15),
        ("reviser", 15),
        ("judge", 8),
    ]
    assert [step.principle for step in steps] == [None, *rules.principles * 3]
    assert record.usage.prompt_tokens + record.usage.completion_tokens == 15 * 3 + 8


def test_a_principle_whose_revision_was_the_last_is_unresolved_but_not_undone():
    rules = constitution("one", "two", "three")
    turns = ("1.", "C.", "2.", "C.", "3.", "C.", "")
    record = run(Replies(in_turn(*turns), lambda _: BROKEN), rules, paper(rounds=3))
    first, last, dropped = (round.principle for round in record.rounds)
    assert set(record.unresolved) == {first, last, dropped}
    assert record.undone == (first,)


def test_every_principle_uses_each_that_applies():
    rules = constitution("one", "two", "three")
    said = iter(range(100))
    record = run(Replies(lambda request: f"Reply {next(said)}."), rules, paper(select="every"))
    assert [r.principle for r in record.rounds] == ["one", "two", "three"]
    assert [v.principle for v in record.final_verdicts] == ["one", "two", "three"]


def test_multi_turn_prompts_and_system_turns_are_kept_whole():
    turns = (
        Message("system", "Be brief."),
        Message("user", "Hello"),
        Message("assistant", "Hi."),
        Message("user", "And now?"),
    )
    asked = prompt().__class__(id="p", row=3, messages=turns, extra={"source": "test"})
    model = Replies(in_turn("First.", "Critique.", "Second."))
    record = run(model, asked=asked)
    assert model.requests[0].messages == turns
    assert record.prompt == turns
    assert record.extra == {"source": "test"}
    assert {request.priority for request in model.requests} == {3}


def test_no_principle_that_applies_spends_nothing():
    rules = constitution("one").model_copy(update={"principles": (principle("one", weight=0.0),)})
    model = Replies(in_turn())
    record = run(model, rules)
    assert record.drop_reason is DropReason.NO_PRINCIPLE_APPLIES
    assert model.requests == []


def test_a_role_that_fails_names_itself():
    error = GenerationError(FailureReason.SERVER_ERROR, "status 500")
    with pytest.raises(ConversationFailed) as caught:
        run(Replies(in_turn("First.", error)))
    assert caught.value.stage == "critic"


def test_a_judge_that_fails_is_not_a_score():
    error = GenerationError(FailureReason.SERVER_ERROR, "status 500")
    with pytest.raises(ConversationFailed) as caught:
        run(Replies(in_turn("First.", "C.", "Second."), lambda m: error))
    assert caught.value.stage == "judge"
    full = GenerationError(FailureReason.CONTEXT_OVERFLOW, "full")
    record = run(Replies(in_turn("First.", "C.", "Second."), lambda m: full))
    assert record.final_verdicts[0].violates is None
    assert record.unresolved == ("one",)


def test_roles_are_asked_their_own_models():
    policy = Replies(in_turn("First."))
    critic = Replies(in_turn("Critique."))
    reviser = Replies(in_turn("Second."))
    judge = Replies(in_turn())
    greedy = Sampling(temperature=0.0)
    cast = Roles(RoleModel(policy), RoleModel(critic, greedy), RoleModel(reviser), RoleModel(judge))
    record = run(cast)
    assert [len(g.requests) for g in (policy, critic, reviser, judge)] == [1, 1, 1, 0]
    assert len(judge.questions) == 1
    assert critic.requests[0].sampling == greedy
    assert record.sampling["critic"]["temperature"] == 0.0


def test_reasoning_is_taken_out_of_answers():
    record = run(Replies(in_turn("<think>hm</think>\nFirst.", "C.", "<think>so</think>Second.")))
    assert (record.answer, record.final) == ("First.", "Second.")
    assert Flag.REASONING_REMOVED in record.answer_flags


def test_seeds_differ_by_everything_they_derive_from():
    seeds = {
        request_seed(run_seed, name, role, index)
        for run_seed in (0, 1)
        for name in ("a", "b")
        for role in ("policy", "critic")
        for index in (0, 1)
    }
    assert len(seeds) == 16
    assert request_seed(0, "a", "policy", 0) == request_seed(0, "a", "policy", 0)


def test_half_a_surrogate_pair_does_not_make_a_record_that_cannot_be_written():
    tokens = TokenIds("tokenizer", (1, 2))
    answer = Completion("a\ud800b", "stop", tokens=tokens)
    model = Replies(in_turn(answer, "Too\udc00 short.", "\ud83d\ude00 and \udfff."))
    record = run(model)
    assert record.answer == "a\ufffdb"
    assert record.rounds[0].critique == "Too\ufffd short."
    assert record.final == "\N{GRINNING FACE} and \ufffd."
    assert "\ufffd" in record.model_dump_json()
    assert model.requests[1].messages[1].tokens is None


def test_an_error_message_can_be_written():
    model = Replies(in_turn(GenerationError(FailureReason.REJECTED, "no \ud800")))
    with pytest.raises(ConversationFailed, match="no \ufffd"):
        run(model)
