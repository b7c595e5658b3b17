"""A judge is asked in the way that its server has: log-probabilities, fewer, after a thought, samples."""

import asyncio
import math

import pytest

from engine.generators.base import GenerationError, GeneratorUnavailable
from engine.generators.servers.asked import Asked
from tests.engine.generators.servers.answering import QUESTION, answer, ask, error

CHOICES = ("No", "Yes")


def position(token, *others, logprob=-0.1):
    top = [{"token": token, "logprob": logprob}]
    top += [{"token": other, "logprob": value} for other, value in others]
    return {"token": token, "logprob": logprob, "top_logprobs": top}


def judged(text, *positions, **message):
    found = answer(text, **message)
    found["choices"][0]["logprobs"] = {"content": list(positions)}
    return found


def choose(handler, times=1, **more):
    """The last of several choices, and the bodies of all requests."""
    bodies = []

    def noting(body):
        bodies.append(body)
        return handler(body)

    async def several(generator):
        for _ in range(times):
            found = await generator.choose(QUESTION, CHOICES)
        return found

    return ask(noting, several, retries=0, **more), bodies


@pytest.mark.parametrize("spelled", ["Yes", " yes", "▁Yes", '"Yes', "**Yes", "YES", "Ġyes", "Yes."])
def test_every_spelling_of_an_answer(spelled):
    choice, bodies = choose(lambda body: judged(spelled, position(spelled, ("No", -2.4))))
    assert choice.probabilities[1] == pytest.approx(
        math.exp(-0.1) / (math.exp(-0.1) + math.exp(-2.4))
    )
    assert choice.samples == 0
    assert (len(bodies), bodies[0]["max_tokens"]) == (1, 1)


@pytest.mark.parametrize("most", [5, 2])
def test_fewer_log_probabilities_where_only_few_are_given(most):
    def handler(body):
        if body["top_logprobs"] > most:
            return error(
                400, f"Invalid value for top_logprobs: must be less than or equal to {most}"
            )
        return judged("Yes", position("Yes"))

    choice, bodies = choose(handler, times=3)
    assert choice.probabilities[1] == 1
    assert [body["top_logprobs"] for body in bodies] == [20, most, most, most]


def samples(body):
    """A server without log-probabilities, which says Yes to three of four."""
    share = [answer("Yes."), answer("**Yes**"), answer("yes"), answer("No, it is not.")]
    several = [share[n % 4]["choices"][0] for n in range(body.get("n", 1))]
    return {**share[0], "choices": several}


def refusing(name, then):
    def handler(body):
        return (
            error(400, f"{name} is not supported with this model", param=name)
            if name in body
            else then(body)
        )

    return handler


@pytest.mark.parametrize("handler", [samples, refusing("logprobs", samples)])
def test_without_log_probabilities_samples_are_counted(handler):
    choice, bodies = choose(handler, times=2)
    assert choice.probabilities == (0.25, 0.75)
    assert (choice.mass, choice.samples) == (1, 16)
    assert [body.get("n") for body in bodies] == [None, 16, 16]
    assert bodies[-1]["temperature"] == 1


def test_samples_one_by_one_where_several_are_refused():
    drawn = []

    def one(body):
        drawn.append(body["seed"])
        return answer("Yes" if body["seed"] % 2 else "No")

    handler = refusing("logprobs", refusing("n", one))
    choice, bodies = choose(handler, times=2, asked=Asked(samples=6))
    assert choice.probabilities == (0.5, 0.5)
    assert (choice.samples, sorted(drawn)) == (6, sorted(2 * list(range(6))))
    assert sum("n" in body for body in bodies) == 1


THOUGHT = ["<think>", "Paris", " is", " it.", "</think>", "\n\n"]


def thinking(body):
    """Think, and answer No, as far as max_tokens goes."""
    tokens = [*THOUGHT, "No"][: body["max_tokens"]]
    positions = [position(token, ("Yes", -9.0)) for token in tokens]
    if len(tokens) == len(THOUGHT) + 1:
        positions[-1] = position("No", ("Yes", -2.4))
    return judged("".join(tokens), *positions, finish="length" if len(tokens) < 7 else "stop")


def parsed(body):
    """The same from a server with a reasoning parser, whose log-probabilities cover the thought."""
    found = thinking(body)
    message = found["choices"][0]["message"]
    thought, _, said = message["content"].partition("</think>")
    message |= {
        "content": said.strip() or None,
        "reasoning_content": thought.removeprefix("<think>"),
    }
    return found


@pytest.mark.parametrize("handler", [thinking, parsed])
def test_a_judge_that_thinks_answers_after_its_thought(handler):
    choice, bodies = choose(handler, times=2)
    assert choice.probabilities[0] == pytest.approx(
        math.exp(-0.1) / (math.exp(-0.1) + math.exp(-2.4))
    )
    assert [body["max_tokens"] for body in bodies] == [1, 1028, 1028]


def test_a_judge_that_hides_its_thought_and_its_log_probabilities():
    def handler(body):
        if "logprobs" in body:
            return error(400, "logprobs are not supported with reasoning models", param="logprobs")
        one = answer("", finish="length") if body["max_tokens"] < 100 else answer("No")
        return {**one, "choices": one["choices"] * body.get("n", 1)}

    choice, _ = choose(handler)
    assert (choice.probabilities[0], choice.samples) == (1, 16)


def test_markup_and_white_space_before_the_word():
    def handler(body):
        tokens = ["\n", "**", "Yes", "**"][: body["max_tokens"]]
        return judged("".join(tokens), *(position(token) for token in tokens))

    choice, bodies = choose(handler, times=2)
    assert choice.probabilities[1] == 1
    assert [body["max_tokens"] for body in bodies] == [1, 4, 4]


def test_one_answer_that_says_nothing_does_not_change_how_the_others_are_asked():
    count = iter(range(99))

    def handler(body):
        if body["max_tokens"] == 1 and next(count) != 1:
            return judged("Yes", position("Yes"))
        return judged("Well", position("Well"))

    choice, bodies = choose(handler, times=4)
    assert choice.mass > 0.5
    assert [body["max_tokens"] for body in bodies] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("handler", "remedy"),
    [
        (lambda body: judged("<think>", position("<think>", logprob=-1e-4)), "thinking=off"),
        (lambda body: answer("Paris is lovely."), "--judge"),
    ],
)
def test_a_judge_that_cannot_judge_is_found_in_the_preflight(handler, remedy):
    with pytest.raises(GeneratorUnavailable, match=remedy):
        ask(handler, lambda generator: generator.preflight(writes=False, judges=True))


def test_many_questions_at_once_find_the_same_way():
    async def many(generator):
        asked = (generator.choose(QUESTION, CHOICES) for _ in range(20))
        return await asyncio.gather(*asked)

    assert {choice.samples for choice in ask(refusing("logprobs", samples), many)} == {16}


def test_garbage_where_log_probabilities_were_is_told():
    count = iter(range(99))

    def handler(body):
        return judged("Yes", position("Yes")) if next(count) == 0 else answer("Yes")

    with pytest.raises(GenerationError, match="no log-probabilities"):
        choose(handler, times=2)


def test_a_thought_that_is_cut_off_gives_no_verdict():
    def handler(body):
        tokens = ["<think>", "I", " say", " no"][: body["max_tokens"]]
        return judged("".join(tokens), *(position(token) for token in tokens), finish="length")

    with pytest.raises(GeneratorUnavailable, match="cannot judge"):
        ask(handler, lambda generator: generator.preflight(writes=False, judges=True))


AFTER = [
    ["<|channel|>", "analysis", "<|message|>", "No, wait", "<|end|>", "<|start|>", "assistant",
     "<|channel|>", "final", "<|message|>", "Yes", "<|return|>"],
    ["<think>", "No, wait", "</think>", "<answer>", "Yes", "</answer>"],
    ["Okay", ", no", "</think>", "\n\n", "Yes", "<|im_end|>"],
]  # fmt: skip


@pytest.mark.parametrize("tokens", AFTER)
def test_the_answer_is_found_among_what_surrounds_it(tokens):
    def handler(body):
        shown = tokens[: body["max_tokens"]]
        positions = [position(token, ("No", -9.0)) for token in shown]
        return judged("".join(shown), *positions)

    choice, _ = choose(handler)
    assert choice.probabilities[1] > 0.9


def test_reasoning_in_a_field_of_its_own_with_other_tokens_around():
    def handler(body):
        shown = ["No", ", wait", "<eot>", "Yes", "<eos>"][: body["max_tokens"]]
        text = "Yes" if len(shown) > 3 else None
        return judged(text, *(position(token) for token in shown), reasoning="No, wait")

    choice, _ = choose(handler)
    assert choice.probabilities[1] == 1
