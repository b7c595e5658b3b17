"""The scripted generator: deterministic without a script, obedient with one."""

import asyncio

import pytest

from constitution.problems import InputError
from engine.generators.base import FailureReason, GenerationError, Request, Sampling
from engine.generators.scripted import ScriptedGenerator, load_script
from engine.messages import Message

SCRIPT = """\
context: 50
rules:
  - {match: "^Identify", reply: "Too vague."}
  - {match: "Rewrite", reply: ["First.", "Second."]}
  - {match: "cut", reply: "Half a", finish_reason: length}
  - {match: "principle", probabilities: [3, 1]}
  - {match: "poison", fail: server_error}
"""


@pytest.fixture
def scripted(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT, encoding="utf-8")
    return ScriptedGenerator(load_script(path))


def ask(generator, text, seed=0):
    return asyncio.run(generator.generate(Request((Message("user", text),), Sampling(), seed)))


def test_without_a_script_the_reply_follows_from_messages_and_seed():
    model = ScriptedGenerator()
    assert ask(model, "a").text == ask(model, "a").text
    assert ask(model, "a").text != ask(model, "b").text
    assert ask(model, "a").text != ask(model, "a", seed=1).text


def test_the_first_rule_that_matches_answers(scripted):
    assert ask(scripted, "Identify and Rewrite").text == "Too vague."
    assert ask(scripted, "cut here").finish_reason == "length"
    assert {ask(scripted, "Rewrite", seed).text for seed in range(20)} == {"First.", "Second."}


def test_probabilities_are_normalised(scripted):
    question = (Message("user", "Does it break the principle?"),)
    choice = asyncio.run(scripted.choose(question, ("Yes", "No")))
    assert choice.probabilities == (0.75, 0.25)


def test_scores_follow_from_script_and_messages(scripted):
    def score(model, *turns):
        roles = ("user", "assistant")
        messages = tuple(Message(roles[at % 2], text) for at, text in enumerate(turns))
        return asyncio.run(model.score(messages))

    first = score(scripted, "a question", "an answer of five words")
    assert first == score(scripted, "a question", "an answer of five words")
    assert len(first.logprobs) == 5
    assert max(first.logprobs) <= 0
    assert first != score(scripted, "another", "an answer of five words")
    assert first != score(ScriptedGenerator(), "a question", "an answer of five words")
    assert score(scripted, "a question", "").logprobs == ()
    with pytest.raises(GenerationError):
        score(scripted, "poison", "an answer")
    with pytest.raises(ValueError, match="assistant's turn"):
        score(scripted, "a question")


def test_a_begun_answer_is_followed_by_the_rest_of_the_reply(scripted):
    begun = (Message("user", "Identify"), Message("assistant", "Too "))
    request = Request(begun, Sampling(), 0)
    assert asyncio.run(scripted.generate(request)).text == "vague."


def test_it_fails_on_demand(scripted):
    with pytest.raises(GenerationError) as caught:
        ask(scripted, "poison")
    assert caught.value.reason is FailureReason.SERVER_ERROR
    with pytest.raises(GenerationError) as caught:
        ask(scripted, "word " * 60)
    assert caught.value.reason is FailureReason.CONTEXT_OVERFLOW


@pytest.mark.parametrize(
    "text",
    [
        "rules: 3",
        "rules:\n  - {match: '('}",
        "reply: x",
        "{",
        "rules: [{fail: unknown}]",
        "rules: [{probabilities: [0, 0]}]",
        "rules: [{probabilities: []}]",
        "rules: [{probabilities: [-1, 2]}]",
        "rules: [{probabilities: [.nan, 1]}]",
        "rules: [{mass: 2}]",
        "delay: .nan",
        "context: 0",
    ],
)
def test_a_bad_script_is_one_clear_line(tmp_path, text):
    path = tmp_path / "script.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not a script") as caught:
        load_script(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        load_script(tmp_path / "missing.yaml")


def test_a_script_in_another_encoding_is_one_clear_line(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_bytes("rules: [{reply: é}]".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        load_script(path)


def test_a_reply_may_be_broken_text_as_a_servers_may(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text('rules: [{reply: "a\\ud800b"}]', encoding="utf-8")
    assert ask(ScriptedGenerator(load_script(path)), "hi").text == "a\ud800b"


def test_another_script_is_another_model(scripted):
    assert scripted.fingerprint != ScriptedGenerator().fingerprint
