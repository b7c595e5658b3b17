"""A model's text on its way into a record: whatever it is, it can be written and is kept once."""

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.generators.base import Completion, Sampling
from engine.judging.label import label_prompt
from engine.judging.preference import Judge
from engine.loop.answer import answer_for_training, answer_prompt
from engine.loop.critique_revise import critique_and_revise
from engine.loop.reply import reply_of
from engine.messages import TokenIds
from engine.settings import AnswerSettings, LabelSettings, RoleModel, roles
from tests.engine.builders import Replies, constitution, paper, prompt
from training.trainers.rewards import ConstitutionalReward, Penalties
from training.trainers.scorers import AnswerScore

RULES = constitution("kindness")
PIECES = st.sampled_from([
    "Yes, do it.", "<think>", "</think>", "hm", " ", "\n\n", "\0", "\ud83d", "\ude00", "🙂", "\u200b",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=6).map("".join)
FINISHES = st.sampled_from(["stop", "length"])


def kept(text):
    """What a record should hold of it, said as plainly as can be."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    before, closing, after = text.partition("</think>")
    if closing and "<think>" not in before:
        text = after
    while text.lstrip().startswith("<think>"):
        text = text.partition("</think>")[2]
    return text.strip()


def saying(text, finish="stop"):
    return Replies(lambda request: Completion(text, finish, 10, 0, 5))


@given(TEXTS, FINISHES)
def test_every_text_can_be_written_and_says_what_became_of_it(text, finish):
    reply = reply_of(Completion(text, finish, tokens=TokenIds("t", (1, 2))))
    assert reply.text == kept(text)
    assert reply.truncated == (finish == "length")
    turn = reply.turn(reply.text)
    assert turn.content.strip() == reply.text
    turn.content.encode()
    untouched = turn.content == text
    assert (turn.tokens is not None) == untouched


def test_a_pair_in_two_halves_is_one_character_and_a_lone_half_is_replaced():
    assert reply_of("\ud83d\ude42 \ud83d").text == "🙂 \ufffd"


@settings(deadline=None)
@given(TEXTS, FINISHES)
def test_answers_critiques_and_revisions_of_the_loop(text, finish):
    for role in ("policy", "critic", "reviser"):
        models = {name: saying("Fine words.") for name in ("critic", "reviser", "judge")}
        policy = models.pop("policy", saying("An answer."))
        if role == "policy":
            policy = saying(text, finish)
        else:
            models[role] = saying(text, finish)
        work = critique_and_revise(prompt(), RULES, roles(policy, **models), paper())
        record = asyncio.run(work)
        json.loads(record.model_dump_json())
        if role == "policy":
            assert record.answer == kept(text)
        elif role == "critic":
            assert record.rounds[0].critique == (kept(text) or None)


@settings(deadline=None)
@given(TEXTS, FINISHES)
def test_label_samples_and_the_chain_of_thought(text, finish):
    policy, judge = RoleModel(saying(text, finish), Sampling()), RoleModel(saying("Because."))
    record = asyncio.run(label_prompt(prompt(), RULES, policy, judge, LabelSettings(samples=2)))
    json.loads(record.model_dump_json())
    assert {sample.text for sample in record.samples} == {kept(text)}
    thinking = Judge(RoleModel(saying(text, finish)), RULES, chain_of_thought=True)
    asked = thinking.prefer(
        RULES.principles[0], prompt().messages, ("One.", "Two."), method="pairwise"
    )
    preference = asyncio.run(asked)
    json.loads(preference.model_dump_json())
    assert set(preference.reasoning) <= {kept(text)}


@settings(deadline=None)
@given(TEXTS)
def test_rewarded_answers(text):
    seen = []

    class Noting:
        name = "noting"

        async def score(self, samples):
            seen.extend(sample.answer for sample in samples)
            return [AnswerScore(0.5)] * len(samples)

        async def close(self): ...

    reward = ConstitutionalReward([(Noting(), 1.0)], Penalties(longest=9, soft_length=8), [2])
    question = [{"role": "user", "content": "Hello?"}]
    answer = [{"role": "assistant", "content": text}]
    asyncio.run(reward(prompts=[question], completions=[answer], completion_ids=[[7, 2]]))
    assert seen == [kept(text)]
    assert reward.counts.empty == (not kept(text))


@settings(deadline=None)
@given(TEXTS, FINISHES)
def test_answers_to_train_on_and_to_compare(text, finish):
    model = RoleModel(saying(text, finish), Sampling())
    record = asyncio.run(answer_for_training(prompt(), model, AnswerSettings()))
    json.loads(record.model_dump_json())
    assert record.answer == kept(text)
    compared = asyncio.run(answer_prompt(prompt(), model.generator, Sampling(), 0))
    assert (compared.text, compared.truncated) == (kept(text), finish == "length")
