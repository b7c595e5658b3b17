"""From models and a judge to figures: nothing is scored that was not said, and faults are found."""

import asyncio
import json

import pytest

from constitution.problems import InputError
from constitution.schema import Stakeholder
from engine.generators.base import (
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    GeneratorUnavailable,
    Sampling,
    Score,
)
from engine.messages import Message
from engine.prompts.sources import Prompt, open_prompts
from engine.storage.atomic import DirectoryLock
from tests.engine.builders import Replies, constitution
from training.evaluation.inputs import EvaluationInputs
from training.evaluation.judges.judging import Judges
from training.evaluation.questions.prompt_sets import (
    BENIGN_LOOKALIKES,
    HARMFUL,
    SHIPPED_TASKS,
    read_opinion_pairs,
)
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.questions.tasks import read_task
from training.evaluation.results import read_results
from training.evaluation.run import EvaluationRun

RULES = constitution("one", "two", "three")
PROMPTS = tuple(Prompt(f"p{n}", n, (Message("user", f"Question {n}?"),)) for n in range(40))


class Model(Replies):
    """Scores what it said itself as likelier than what others said."""

    def __init__(self, spec, reply, choose=None):
        super().__init__(reply)
        self.spec = self.fingerprint = spec
        self.scored = 0
        self.chooses = choose or (lambda messages, choices: Choice((0.5, 0.5), 1.0))

    async def choose(self, messages, choices, *, priority=0):
        self.questions.append(messages)
        return self.chooses(messages, choices)

    async def score(self, messages, *, priority=0):
        self.scored += 1
        words = messages[-1].content.split()
        return Score((-1.0 if self.spec == "base" else -0.5,) * len(words), 5)


def judge(verdict, first_place=0.5):
    """P(breaks the principle), or that the reply shown first is better, by the judge's question."""

    def answer(messages, choices):
        question = messages[-1].content
        if choices == ("A", "B"):
            found = first_place(question) if callable(first_place) else first_place
        else:
            found = verdict(question)
        return found if isinstance(found, Choice) else Choice((found, 1 - found), 1.0)

    return Model("judge", lambda _: "unused", answer)


def bad_is_bad(question):
    return 0.9 if "bad answer" in question else 0.1


def evaluated(models, judging, out, **changes):
    questionnaire = Questionnaire(PROMPTS, RULES, sampling=Sampling(max_tokens=50), **changes)
    inputs = EvaluationInputs(questionnaire, models, Judges(judging))
    return asyncio.run(EvaluationRun(inputs, out).execute())


def by_name(results):
    return {result.name: result for result in results.models}


def says(spec, text):
    return Model(spec, lambda _: text)


def test_a_better_model_breaks_fewer_principles_and_wins(tmp_path):
    def better_first(question):
        return 0.9 if question.index("good answer") < question.index("bad answer") else 0.1

    models = {"base": says("base", "A bad answer."), "sft": says("sft", "A good answer.")}
    results = evaluated(models, judge(bad_is_bad, better_first), tmp_path, principles=2)
    rows = by_name(results)
    assert rows["base"].violations.value == 1.0 and rows["sft"].violations.value == 0.0
    assert rows["sft"].change.value == -1.0 and rows["base"].change is None
    (pair,) = results.pairings
    assert (pair.model, pair.other, pair.result.losses) == ("base", "sft", 40)
    assert pair.position_bias == pytest.approx(0)
    assert rows["sft"].strength.low > 0 and rows["base"].strength is None
    assert set(rows["base"].principles) == {"one", "two", "three"}
    assert rows["sft"].violations.high > 0, "a rate of 0 has an interval all the same"


def test_a_judge_that_prefers_the_first_place_makes_ties_and_is_told(tmp_path):
    models = {"base": says("base", "One answer."), "sft": says("sft", "Another answer.")}
    results = evaluated(models, judge(lambda _: 0.1, 0.8), tmp_path)
    (pair,) = results.pairings
    assert pair.result.rate.value == 0.5 and pair.result.ties == 40
    assert pair.position_bias == pytest.approx(0.6)
    assert "position-bias" in {finding.code for finding in results.findings}


def test_a_model_against_itself_ties_and_the_judge_is_not_asked(tmp_path):
    judging = judge(lambda _: 0.1, lambda _: pytest.fail("equal answers need no judge"))
    models = {"base": says("base", "An answer."), "copy": says("copy", "An answer.")}
    results = evaluated(models, judging, tmp_path)
    (pair,) = results.pairings
    assert "same-answers" in {finding.code for finding in results.findings}
    assert pair.result.rate.low < 0.5 < pair.result.rate.high
    assert pair.result.ties == 40


def test_a_judge_that_does_not_answer_scores_nothing(tmp_path):
    def silent(messages, choices):
        return Choice((0.5, 0.5), 0.001)

    models = {"base": says("base", "One."), "sft": says("sft", "Two.")}
    results = evaluated(models, Model("judge", lambda _: "", silent), tmp_path, principles=2)
    rows = by_name(results)
    assert rows["sft"].violations is None and not results.pairings
    assert rows["sft"].answers.undecided == 80
    assert results.samples[0].answers[1].verdicts[0].reason


def test_failed_empty_and_truncated_answers_are_counted(tmp_path):
    def reply(request):
        number = int(request.messages[-1].content.split()[1].rstrip("?"))
        if number < 3:
            return GenerationError(FailureReason.REJECTED, "no")
        if number < 8:
            return ""
        return Completion("Cut", "length", 5, 0, 7) if number < 18 else "Whole."

    counts = evaluated({"base": Model("base", reply)}, judge(lambda _: 0.1), tmp_path).models[0]
    assert (counts.answers.prompts, counts.answers.failed) == (40, 3)
    assert (counts.answers.empty, counts.answers.truncated) == (5, 10)
    assert counts.violations.count == 32, (
        "an answer that is not there breaks nothing and keeps nothing"
    )


def test_all_sets_are_asked_and_resuming_asks_nothing_twice(tmp_path):
    evaluation = {
        "harmful": tuple(open_prompts(HARMFUL))[:12],
        "benign": tuple(open_prompts(BENIGN_LOOKALIKES))[:12],
        "attacks": ("role_play", "prefill"),
        "tasks": tuple(read_task(file, limit=6) for file in SHIPPED_TASKS),
        "opinions": tuple(read_opinion_pairs())[:5],
        "helpful": ((Message("user", "Hi?"), Message("assistant", "Hello to you.")),),
    }

    def chooses(messages, choices):
        return Choice((1.0, *(0.0 for _ in choices[1:])), 1.0)

    def make():
        return {
            "base": Model("base", lambda _: "Here you are: ####42", chooses),
            "dpo": Model("dpo", lambda _: "I'm sorry, I can't help with that.", chooses),
        }

    models, judging = make(), judge(lambda _: 0.2)
    results = evaluated(models, judging, tmp_path, **evaluation)
    rows = by_name(results)
    assert rows["base"].harmful.rules.value == 0 and rows["dpo"].harmful.rules.value == 1
    assert rows["dpo"].benign.rules.value == 1 and rows["dpo"].benign.categories
    assert rows["base"].attacks["role_play"].rules.value == 1
    assert rows["dpo"].attacks["prefill"].rules.value == 0
    assert set(rows["base"].capabilities) == {"general_knowledge", "arithmetic"}
    assert rows["base"].perplexity.value == pytest.approx(2.718, abs=0.001)
    signs = {sign.name: sign for sign in rows["dpo"].signs}
    assert signs["over_refusal"].flagged and signs["boilerplate"].flagged
    assert signs["kl_from_base"].estimate.value > 0
    assert signs["sycophancy"].estimate.value == 0

    assert read_results(tmp_path) == results
    again = make()
    repeated = evaluated(again, judging, tmp_path, **evaluation)
    assert repeated == results
    assert not any(model.requests or model.questions for model in again.values())
    assert not any(model.scored for model in again.values())


def test_the_manifest_says_complete_at_the_end_and_another_evaluation_is_refused(tmp_path):
    models = {"base": says("base", "One."), "sft": says("sft", "Two.")}
    evaluated(models, judge(bad_is_bad), tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert (manifest["kind"], manifest["complete"]) == ("evaluate", True)
    assert manifest["identity"]["principles per prompt"] == "4"
    with pytest.raises(InputError, match=r"principles per prompt was 4, now 2; .*--overwrite"):
        evaluated(models, judge(bad_is_bad), tmp_path, principles=2)
    assert (tmp_path / "results.json").read_bytes() == before
    more = {**models, "dpo": says("dpo", "Three.")}
    assert len(evaluated(more, judge(bad_is_bad), tmp_path).models) == 3


def test_an_evaluation_that_ends_early_is_not_called_complete(tmp_path):
    models = {"base": says("base", "One."), "sft": says("sft", "Two.")}
    evaluated(models, judge(bad_is_bad), tmp_path)

    def gone(request):
        raise GeneratorUnavailable("the engine died")

    with pytest.raises(GeneratorUnavailable):
        evaluated({**models, "dpo": Model("dpo", gone)}, judge(bad_is_bad), tmp_path)
    assert not json.loads((tmp_path / "manifest.json").read_bytes())["complete"]


def test_a_directory_of_a_run_is_no_place_for_an_evaluation(tmp_path):
    manifest = {"solon": 2, "kind": "revise", "complete": True, "created": "", "identity": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "records.jsonl").write_text("{}\n", encoding="utf-8")
    questionnaire = Questionnaire(PROMPTS, RULES)
    inputs = EvaluationInputs(questionnaire, {"base": says("base", "One.")}, Judges(judge(0.1)))
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"is not of an evaluation but .*\(revise\)"):
            EvaluationRun(inputs, tmp_path, overwrite=overwrite)
    assert (tmp_path / "records.jsonl").exists()


def test_one_process_at_a_time_writes_an_evaluation(tmp_path):
    models, out = {"base": says("base", "An answer.")}, tmp_path / "out"
    results = evaluated(models, judge(lambda _: 0.1), out)
    with DirectoryLock(out), pytest.raises(InputError, match="another process"):
        evaluated(models, judge(lambda _: 0.1), out)
    assert evaluated(models, judge(lambda _: 0.1), out) == results


def test_short_answers_ask_for_no_more_tokens_than_they_may_have():
    asked = Questionnaire(PROMPTS, RULES, sampling=Sampling(max_tokens=300, min_tokens=200))
    short = asked.sampling_of("harmful")
    assert (short.min_tokens, short.max_tokens) == (64, 64)
    assert asked.sampling_of("held-out") == asked.sampling


def test_principles_are_drawn_as_the_stakeholder_weighs_them():
    rules = constitution("one", "two").model_copy(
        update={"stakeholders": {"legal": Stakeholder(weights={"one": 0.0})}}
    )
    asked = Questionnaire(PROMPTS, rules, principles=1, stakeholder="legal")
    plain = Questionnaire(PROMPTS, rules, principles=1)
    assert {p.id for prompt in PROMPTS for p in asked.principles_of(prompt)} == {"two"}
    assert {p.id for prompt in PROMPTS for p in plain.principles_of(prompt)} == {"one", "two"}
    assert asked.identity() != plain.identity()
