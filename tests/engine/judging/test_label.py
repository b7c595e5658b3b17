"""Labelling: answers sampled, paired and compared, and a reason for whatever is left out."""

import asyncio
import json
from collections import Counter

import pytest

from constitution.problems import InputError
from constitution.schema import Stakeholder
from engine.generators.base import (
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    Sampling,
)
from engine.generators.scripted import ScriptedGenerator
from engine.judging.label import label_prompt
from engine.judging.records import (
    LabelDropReason,
    LabelOutcome,
    LabelRecord,
    Undecided,
)
from engine.loop.asking import ConversationFailed
from engine.prompts.sources import open_prompts
from engine.records import AnswerDrop
from engine.report import build_report, summarize_labels
from engine.runs.label_run import LabelRun
from engine.runs.run import RevisionRun
from engine.settings import LabelSettings, LoopSettings, RoleModel, roles
from engine.storage.jsonl import read_jsonl
from tests.engine.builders import Replies, constitution, in_turn, prompt
from tests.engine.judging.test_preference import breaks, likes
from training.data.datasets import label_preference_rows

RULES = constitution("one", "two", "three")
T1 = Sampling(temperature=1.0)


def label(policy, verdict=None, rules=RULES, **settings):
    policy = policy if isinstance(policy, Replies) else Replies(policy)
    judge = Replies(lambda request: "Because.", verdict)
    work = label_prompt(
        prompt(), rules, RoleModel(policy, T1), RoleModel(judge), LabelSettings(**settings)
    )
    return asyncio.run(work), judge


def answers(*texts):
    return in_turn(*texts)


def cut(text):
    return Completion(text, "length", 10, 0, 5)


# Answers and pairs ----------------------------------------------------------------------------


def test_each_sample_has_a_seed_of_its_own_and_the_policys_sampling():
    policy = Replies(answers("a", "b", "c", "d"))
    label(policy)
    assert len({request.seed for request in policy.requests}) == 4
    assert {request.sampling for request in policy.requests} == {T1}


def test_each_pair_is_reasoned_about_with_a_seed_of_its_own():
    def seeds(**settings):
        _, judge = label(
            answers("a", "b", "c", "d"),
            likes("a"),
            method="pairwise",
            chain_of_thought=True,
            **settings,
        )
        return [request.seed for request in judge.requests]

    found = seeds()
    assert len(found) == 4 and len(set(found)) == 2, "two orders of each of two pairs"
    assert seeds() == found
    assert not set(seeds(seed=1)) & set(found)


def test_disjoint_pairs_use_each_answer_once_and_all_pairs_every_two():
    record, _ = label(answers("a", "b", "c", "d"), breaks("b"))
    assert [(p.first, p.second) for p in record.pairs] == [(0, 1), (2, 3)]
    record, _ = label(answers("a", "b", "c", "d"), breaks("b"), pairs="all")
    assert len(record.pairs) == 6


def test_empty_truncated_and_repeated_answers_leave_with_their_reason():
    record, _ = label(answers("a", " ", cut("half"), " a\n"), breaks("a"), samples=4)
    assert [sample.dropped for sample in record.samples] == [
        None,
        AnswerDrop.EMPTY,
        AnswerDrop.TRUNCATED,
        AnswerDrop.DUPLICATE,
    ]
    assert record.outcome is LabelOutcome.DROPPED
    assert record.drop_reason is LabelDropReason.TOO_FEW_ANSWERS
    assert record.pairs == ()


def test_truncated_answers_can_be_compared_and_their_rows_say_so():
    record, _ = label(
        answers("a", cut("bad half"), "b", "bad c", cut(" "), cut("a")),
        breaks("bad"),
        samples=6,
        keep_truncated=True,
    )
    assert [sample.truncated for sample in record.samples] == [False, True, *[False] * 4]
    assert [sample.dropped for sample in record.samples[4:]] == [
        AnswerDrop.EMPTY,
        AnswerDrop.DUPLICATE,
    ]
    assert [row["truncated"] for row in label_preference_rows(record)] == [True, False]


def test_reasoning_is_no_part_of_an_answer():
    record, _ = label(answers("<think>Hm.</think>a", "b"), breaks("b"), samples=2)
    assert record.samples[0].text == "a"


def test_a_prompt_that_no_principle_applies_to_asks_nothing():
    policy = Replies(answers())
    nothing = RULES.model_copy(update={"principles": ()})
    record, _ = label(policy, rules=nothing)
    assert record.drop_reason is LabelDropReason.NO_PRINCIPLE_APPLIES
    assert policy.requests == []


# Labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "verdict"), [("pointwise", breaks("bad")), ("pairwise", likes("good"))]
)
def test_the_better_answer_is_chosen_wherever_it_stands(method, verdict):
    record, _ = label(answers("good 1", "bad 1", "bad 2", "good 2"), verdict, method=method)
    rows = list(label_preference_rows(record))
    assert [row["chosen"][0]["content"] for row in rows] == ["good 1", "good 2"]
    assert [row["rejected"][0]["content"] for row in rows] == ["bad 1", "bad 2"]
    assert all(row["probability"] >= 0.9 - 1e-9 and row["method"] == method for row in rows)
    assert rows[0]["constitution"] == RULES.content_hash
    assert list(rows[0]) == [
        "prompt", "chosen", "rejected", "probability", "position_bias", "method", "id",
        "constitution", "principles", "principle_hashes", "model", "judge", "truncated",
    ]  # fmt: skip


def test_a_judge_that_always_takes_the_first_place_ties_every_pair():
    record, _ = label(
        answers("a", "b", "c", "d"), lambda m: Choice((0.95, 0.05), 1.0), method="pairwise"
    )
    assert {pair.dropped for pair in record.pairs} == {Undecided.TIE}
    assert all(pair.position_bias == pytest.approx(0.9) for pair in record.pairs)
    assert record.drop_reason is LabelDropReason.NO_PAIR_DECIDED
    assert list(label_preference_rows(record)) == []


def test_orders_that_contradict_each_other_are_settled_by_their_mean():
    shown = iter([0.9, 0.6])  # first place both times, but less so with the second answer there
    verdict = lambda m: Choice(((p := next(shown)), 1 - p), 1.0)  # noqa: E731
    record, _ = label(answers("a", "b"), verdict, samples=2, method="pairwise")
    assert record.pairs[0].dropped is None
    assert record.pairs[0].probability == pytest.approx(0.65)


@pytest.mark.parametrize("margin", [0.05, 0.2])
def test_a_tie_is_a_matter_of_the_margin(margin):
    record, _ = label(
        answers("good", "b"), likes("good", 0.6), samples=2, method="pairwise", tie_margin=margin
    )
    assert (record.pairs[0].dropped is Undecided.TIE) is (margin > 0.1)


@pytest.mark.parametrize("method", ["pointwise", "pairwise"])
def test_a_failed_judge_gives_no_score(method):
    record, _ = label(answers("a", "b"), lambda m: Choice((0.9, 0.1), 0.0),
                      samples=2, method=method)  # fmt: skip
    assert record.pairs[0].probability is None
    assert record.pairs[0].dropped is Undecided.UNANSWERED
    assert list(label_preference_rows(record)) == []


def test_a_failing_server_fails_the_prompt_so_that_it_is_tried_again():
    down = GenerationError(FailureReason.SERVER_ERROR, "down")
    with pytest.raises(ConversationFailed) as of_judge:
        label(answers("a", "b"), lambda m: down, samples=2)
    with pytest.raises(ConversationFailed) as of_policy:
        label(answers("a", down), samples=2)
    assert (of_judge.value.stage, of_policy.value.stage) == ("judge", "policy")


# Principles -----------------------------------------------------------------------------------


def test_an_ensemble_is_the_mean_over_its_principles():
    def verdict(messages):
        share = {"one": 0.9, "two": 0.6, "three": 0.3}[
            next(n for n in ("one", "two", "three") if f"keeps {n}" in messages[0].content)
        ]
        good = messages[0].content.index("good") < messages[0].content.index("bad")
        return Choice((share, 1 - share) if good else (1 - share, share), 1.0)

    record, _ = label(answers("good", "bad"), verdict, samples=2, method="pairwise", ensemble=3)
    assert {p.principle for p in record.pairs[0].preferences} == {"one", "two", "three"}
    assert record.pairs[0].probability == pytest.approx(0.6)


def test_principles_without_an_answer_do_not_count_in_an_ensemble():
    def verdict(messages):
        known = "keeps one" in messages[0].content
        return Choice(likes("good")(messages).probabilities, 1.0 if known else 0.0)

    record, _ = label(answers("good", "bad"), verdict, samples=2, method="pairwise", ensemble=3)
    (row,) = label_preference_rows(record)
    assert row["principles"] == ["one"]
    assert row["probability"] == pytest.approx(0.9)


def test_no_verdict_is_asked_for_twice():
    _, judge = label(
        answers("a", "b", "c", "d"), breaks("a"), pairs="all", ensemble=3, method="pointwise"
    )
    assert len(judge.questions) == len(set(judge.questions)) == 4 * 3


def test_the_draw_of_a_pair_does_not_depend_on_the_other_answers():
    whole, _ = label(answers("a", "b", "c", "d"), breaks("a"), pairs="all")
    part, _ = label(answers("a", "b", " ", "d"), breaks("a"), pairs="all")

    def drawn(record):
        return {(p.first, p.second): p.preferences[0].principle for p in record.pairs}

    assert drawn(part).items() <= drawn(whole).items()


def test_a_prompt_keeps_to_one_stakeholder():
    rules = constitution(
        "one",
        "two",
        stakeholders={
            "left": Stakeholder(weights={"two": 0.0}),
            "right": Stakeholder(weights={"one": 0.0}),
        },
    )
    record, _ = label(
        answers("a", "b", "c", "d"), breaks("a"), rules, pairs="all",
        stakeholder={"left": 1.0, "right": 1.0},
    )  # fmt: skip
    assert len({p.preferences[0].principle for p in record.pairs}) == 1


def test_a_record_survives_being_written():
    record, _ = label(
        answers("good", "bad"), likes("good"), samples=2, method="pairwise", chain_of_thought=True
    )
    assert record.pairs[0].preferences[0].reasoning == ("Because.", "Because.")
    assert LabelRecord.model_validate_json(record.model_dump_json()) == record


# Runs -----------------------------------------------------------------------------------------

COUNT = 60


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{row}", "prompt": f"Question {row}?"} for row in range(COUNT)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_prompts(path)


class Counted(ScriptedGenerator):
    def __init__(self):
        super().__init__()
        self.asked = Counter()

    async def generate(self, request):
        self.asked["generate"] += 1
        return await super().generate(request)

    async def choose(self, messages, choices, *, priority=0):
        self.asked["choose"] += 1
        return await super().choose(messages, choices, priority=priority)


def execute(out, source, rules=RULES, mode="resume", **settings):
    model = Counted()
    role = RoleModel(model, T1)
    run = LabelRun(out, source, rules, role, role, LabelSettings(**settings), mode=mode)

    async def work():
        try:
            await run.execute()
        finally:
            await run.close()

    asyncio.run(work())
    return model.asked


def records(out):
    return {row["id"]: row for row in read_jsonl(out / "records.jsonl")}


def test_a_run_says_that_it_labels_and_a_finished_one_asks_nothing_again(tmp_path, source):
    out = tmp_path / "run"
    assert execute(out, source) == {"generate": 4 * COUNT, "choose": 4 * COUNT}
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["kind"], manifest["complete"]) == ("label", True)
    assert manifest["totals"] == {"records": COUNT, "labelled": COUNT, "dropped": 0, "failed": 0}
    assert not (out / "escalations.jsonl").exists()
    assert execute(out, source) == {}


def test_what_was_sampled_is_used_again_with_another_method(tmp_path, source):
    execute(tmp_path / "run", source)
    again = execute(tmp_path / "run", source, mode="overwrite", method="pairwise")
    assert again["generate"] == 0
    assert again["choose"] == 2 * 2 * COUNT


def test_an_edited_principle_is_judged_again_and_nothing_is_sampled(tmp_path, source):
    execute(tmp_path / "run", source)
    edited = RULES.principles[1].model_copy(update={"statement": "Something else."})
    rules = RULES.model_copy(
        update={"principles": (RULES.principles[0], edited, RULES.principles[2])}
    )
    with pytest.raises(InputError, match="--update"):
        execute(tmp_path / "run", source, rules)
    drew = sum(
        pair["preferences"][0]["principle"] == "two"
        for row in records(tmp_path / "run").values()
        for pair in row["pairs"]
    )
    again = execute(tmp_path / "run", source, rules, mode="update")
    assert again == {"choose": 2 * drew}
    assert len(records(tmp_path / "run")) == len(records(tmp_path / "run" / "previous" / "1"))


@pytest.mark.parametrize(
    ("labels_first", "told"), [(True, "label, now revise"), (False, "revise, now label")]
)
def test_a_directory_holds_one_kind_of_run(tmp_path, source, labels_first, told):
    def revise():
        model = roles(ScriptedGenerator())
        RevisionRun(tmp_path / "run", source, RULES, model, LoopSettings()).directory.close()

    def do_label():
        execute(tmp_path / "run", source)

    first, second = (do_label, revise) if labels_first else (revise, do_label)
    first()
    with pytest.raises(InputError, match=told):
        second()


def test_a_summary_counts_what_became_of_answers_and_pairs(tmp_path, source):
    execute(tmp_path / "run", source, method="pairwise")
    summary = summarize_labels(tmp_path / "run")
    rows = [LabelRecord.model_validate(row) for row in records(tmp_path / "run").values()]
    assert summary.prompts == COUNT and summary.answers == 4 * COUNT
    assert summary.pairs == sum(len(row.pairs) for row in rows) == 2 * COUNT
    assert summary.labelled == sum(len(row.labelled) for row in rows)
    assert sum(p.drawn for p in summary.principles.values()) == summary.pairs
    assert -1 <= summary.position_bias <= 1
    execute(tmp_path / "run", source, mode="overwrite")
    assert summarize_labels(tmp_path / "run").position_bias is None


def test_a_page_of_a_label_run_is_refused_in_words(tmp_path, source):
    execute(tmp_path / "run", source)
    with pytest.raises(InputError, match="is a directory of `solon label`"):
        build_report(tmp_path / "run")
