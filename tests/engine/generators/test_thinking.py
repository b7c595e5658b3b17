"""Thinking in process: its options, its budget, and verdicts that are read after a thought."""

import asyncio
from dataclasses import dataclass, field

import pytest

from constitution.problems import InputError
from engine.generators.base import Request, Sampling
from engine.generators.spec import open_generator
from engine.generators.thinking import Masses, Sampled, Thinking, complete
from engine.generators.thinking_judge import ThinkingJudge
from engine.generators.transformers import TransformersGenerator
from engine.messages import Message
from tests.engine.generators.thinking_tokenizer import OPENED, encoder, ids_of, tokenizer
from tests.engine.tiny_model import build_tiny_model

ASKED = (Message("user", "Is ice cold?"),)


@dataclass
class Scripted:
    """A model that goes on with one text, and gives its choice any mass only where `answers_after`
    ends the prompt."""

    text: str
    answers_after: str = ""
    sampled: list = field(default_factory=list)
    read: list = field(default_factory=list)
    answer: str = "It is.<|im_end|>"

    async def sample(self, prompt, request):
        await asyncio.sleep(0)
        self.sampled.append((list(prompt), request))
        first = len(self.sampled) == 1 or not request.messages
        ids = ids_of(self.text if first else self.answer)
        kept = ids[: request.sampling.max_tokens]
        return Sampled(kept, len(kept) == len(ids), len(kept), 3)

    async def masses(self, prompt, candidates, priority):
        await asyncio.sleep(0)
        self.read.append(tokenizer().decode(prompt))
        if self.answers_after and self.read[-1].endswith(self.answers_after):
            return Masses((0.6, 0.3), 5)
        return Masses((0.001, 0.002))


def generate(model, budget, tokens=50, template=None, on_text=None):
    request = Request(ASKED, Sampling(max_tokens=tokens), seed=1, on_text=on_text)
    return asyncio.run(complete(model, encoder(template), request, budget))


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "thinking"),
    [
        ("", Thinking()),
        ("?thinking=off", Thinking(False)),
        ("?thinking=false", Thinking(False)),
        ("?thinking=on", Thinking(True)),
        ("?thinking=300", Thinking(True, 300)),
        ("?reasoning_effort=low", Thinking(effort="low")),
        ("?thinking=300&reasoning_effort=high", Thinking(True, 300, "high")),
    ],
)
def test_options_of_thinking_are_no_engine_arguments_and_count(options, thinking):
    vllm = open_generator(f"vllm:org/name{options}")
    assert vllm.thinking == thinking
    assert vllm.options == {}
    for spec in ("vllm:org/name", "transformers:org/name", "embedded?backend=transformers"):
        joined = options.replace("?", "&") if "?" in spec else options
        same = open_generator(spec + joined).fingerprint == open_generator(spec).fingerprint
        assert same == (not options)


@pytest.mark.parametrize(
    "wrong", ["thinking=maybe", "thinking=0", "thinking=1.5", "reasoning_effort=9"]
)
@pytest.mark.parametrize(
    "spec",
    ["vllm:org/name?", "transformers:org/name?", "embedded?", "embedded?backend=transformers&"],
)
def test_what_they_cannot_be_is_refused_when_the_spec_is_read(spec, wrong):
    with pytest.raises(InputError, match=f"`{wrong}` cannot be; write"):
        open_generator(spec + wrong)


def test_templates_are_told_by_every_name_that_they_use():
    assert Thinking().template_arguments == {}
    assert Thinking(False).template_arguments == {
        "enable_thinking": False,
        "thinking": False,
        "reasoning": False,
    }
    told = Thinking(True, 100, "low").template_arguments
    assert told["enable_thinking"] is True
    assert told["reasoning_effort"] == "low" and told["low_effort"] is True


# Budget -------------------------------------------------------------------------------------------


def test_without_a_budget_there_is_one_request():
    model = Scripted("[THINK]hm[/THINK]It is.<|im_end|>")
    completion = generate(model, None)
    assert (completion.text, completion.reasoning) == ("It is.", "hm")
    assert completion.finish_reason == "stop" and len(model.sampled) == 1
    assert completion.tokens is None


@pytest.mark.parametrize(
    ("opens", "closes"), [("[THINK]", "[/THINK]"), ("<think>", "\n</think>\n\n")]
)
def test_a_thought_over_budget_is_closed_and_the_answer_has_all_its_tokens(opens, closes):
    model = Scripted(opens + "hm " * 40)
    seen = []
    completion = generate(model, 10, tokens=30, on_text=seen.append)
    assert completion.finish_reason == "stop"
    assert completion.text.endswith("It is.")
    assert completion.cached_tokens == 3
    (_, first), (prompt, second) = model.sampled
    assert (first.sampling.max_tokens, second.sampling.max_tokens) == (10, 30)
    assert prompt[-len(ids_of(closes)) :] == ids_of(closes)
    assert completion.completion_tokens == 10 + len(ids_of(model.answer))
    second.on_text("It")
    assert seen[-1] == encoder().decode(ids_of(model.text)[:10]) + "It"


def test_a_thought_within_budget_leaves_the_rest_of_the_tokens_to_the_answer():
    model = Scripted("[THINK]hm[/THINK]" + "It is so. " * 20)
    spent = len(ids_of("[THINK]hm[/THINK]"))
    completion = generate(model, 20, tokens=30)
    assert model.sampled[1][1].sampling.max_tokens == 30 - (20 - spent)
    assert completion.reasoning == "hm"


def test_an_answer_may_not_be_longer_than_asked_within_the_budget_either():
    model = Scripted("[THINK]hm[/THINK]" + "It is so. " * 20)
    completion = generate(model, 60, tokens=4)
    assert completion.finish_reason == "length" and len(model.sampled) == 1
    assert (completion.text, completion.reasoning) == ("It is", "hm")
    plain = generate(Scripted("It is so. " * 20), 60, tokens=4)
    assert (len(plain.tokens.ids), plain.finish_reason) == (4, "length")


def test_a_model_that_does_not_think_answers_in_as_many_tokens_as_asked():
    model = Scripted("It is so. " * 20)
    completion = generate(model, 5, tokens=30)
    assert [request.sampling.max_tokens for _, request in model.sampled] == [5, 25]
    assert completion.reasoning is None


# Judge --------------------------------------------------------------------------------------------


def choose(model, judge=None, times=1, template=None, context=10_000):
    judge = judge or ThinkingJudge()

    async def all_at_once():
        asked = (
            judge.choose(model, encoder(template, context), ASKED, ("Yes", "No"))
            for _ in range(times)
        )
        return await asyncio.gather(*asked)

    return asyncio.run(all_at_once())


@pytest.mark.parametrize(
    "thought",
    [
        "<think>is it?</think>\n\n",
        "[THINK]is it?[/THINK]",
        "<|channel|>analysis<|message|>is it?<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_a_model_that_thinks_is_asked_after_its_thought(thought):
    model = Scripted(thought + "Yes<|im_end|>", answers_after=thought)
    judge = ThinkingJudge()
    (choice,) = choose(model, judge)
    assert choice.probabilities == pytest.approx((2 / 3, 1 / 3))
    assert choice.mass == pytest.approx(0.9) and choice.cached_tokens == 5
    assert choice.prompt_tokens == len(model.sampled[0][0]) + len(ids_of(thought))
    assert model.sampled[0][1].sampling == Sampling(max_tokens=1024, temperature=0.0)
    assert len(model.read) == 2
    choose(model, judge)  # remembered: the first token is not looked at again
    assert len(model.read) == 3 and len(model.sampled) == 2


def test_a_model_that_answers_at_once_is_never_asked_to_think():
    model = Scripted("Yes", answers_after="assistant\n")
    assert all(choice.mass == pytest.approx(0.9) for choice in choose(model, times=3))
    assert model.sampled == []


def test_a_model_that_does_not_think_is_tried_once():
    model = Scripted("Well, it depends.")
    judge = ThinkingJudge()
    assert all(choice.mass < 0.05 for choice in choose(model, judge, times=5))
    assert len(model.sampled) == 1
    choose(model, judge)
    assert len(model.sampled) == 1


def test_requests_that_come_at_once_find_out_together():
    thought = "<think>is it?</think>\n\n"
    model = Scripted(thought + "Yes", answers_after=thought)
    assert all(choice.mass == pytest.approx(0.9) for choice in choose(model, times=4))
    assert len(model.sampled) == 4


def test_a_thought_that_does_not_end_is_closed():
    model = Scripted("<think>" + "hm " * 900, answers_after="\n</think>\n\n")
    (choice,) = choose(model, ThinkingJudge(20))
    assert choice.mass == pytest.approx(0.9)
    assert model.sampled[0][1].sampling.max_tokens == 20


def test_where_the_prompt_opens_a_thought_the_first_token_is_not_read():
    model = Scripted("is it?\n</think>\n\nYes", answers_after="is it?\n</think>\n\n")
    (choice,) = choose(model, template=OPENED)
    assert choice.mass == pytest.approx(0.9) and len(model.read) == 1


def test_without_room_for_a_thought_nothing_is_found_out():
    prompt = len(encoder().encode(ASKED))
    model, judge = Scripted("Well.", answers_after=""), ThinkingJudge()
    assert choose(model, judge, context=prompt + 10)[0].mass < 0.05
    assert model.sampled == [] and judge._thinks is None


# A real model -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_transformers_thinks_within_its_budget_and_chooses_after_it(tmp_path):
    model = build_tiny_model(tmp_path)

    async def main():
        generator = TransformersGenerator(model, chat_template=OPENED, thinking=6)
        await generator.start()
        try:
            asked = Request(ASKED, Sampling(max_tokens=9, min_tokens=9), seed=1)
            return await generator.generate(asked), await generator.choose(ASKED, ("Yes", "No"))
        finally:
            await generator.close()

    completion, choice = asyncio.run(main())
    assert completion.reasoning is not None
    assert completion.completion_tokens == 15 and completion.finish_reason == "length"
    assert sum(choice.probabilities) == pytest.approx(1)
    assert choice.prompt_tokens > completion.prompt_tokens + 6
