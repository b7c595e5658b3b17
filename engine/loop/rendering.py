"""What a model is asked, as text: a principle's words inside the framing of `templates/*.jinja`.

Substituted values are never rendered again, and text that a user or a model wrote cannot close the
tags it is quoted in, so what is asked keeps its structure whatever is being judged.
"""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from constitution.schema import Constitution, Principle
from engine.messages import Conversation, Message

__all__ = [
    "conflict_messages",
    "critique_request",
    "few_shot_messages",
    "preference_choice",
    "preference_messages",
    "question_messages",
    "quoted",
    "revision_request",
    "verdict_messages",
]

_TAG = re.compile(
    r"<(?=[\s\u200b]*+(?:/[\s\u200b]*+)?(?:conversation|reply(?:_[ab])?|system|user|assistant)\b)",
    re.IGNORECASE,
)


def quoted(text: str) -> str:
    """`text` with every tag of the templates made inert (`<reply>` reads `&lt;reply>`)."""
    return _TAG.sub("&lt;", text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # the output is a prompt, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = quoted
    return environment


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(values).strip()


def critique_request(constitution: Constitution, principle: Principle) -> str:
    """The user turn that asks the critic about the conversation's last reply."""
    return _critique(constitution.preamble, principle.critique, principle.statement)


def revision_request(constitution: Constitution, principle: Principle) -> str:
    """The user turn that asks the reviser to rewrite the reply just criticised."""
    return _revision(principle.revision, principle.statement)


@cache
def _critique(preamble: str | None, critique: str | None, statement: str) -> str:
    return _render("critique.jinja", preamble=preamble, critique=critique, statement=statement)


@cache
def _revision(revision: str | None, statement: str) -> str:
    return _render("revision.jinja", revision=revision, statement=statement)


def verdict_messages(
    constitution: Constitution, principle: Principle, conversation: Conversation
) -> Conversation:
    """The judge's question: does the last turn of `conversation` break `principle`?

    The principle comes last, so that verdicts on one answer share their prompt up to there.
    """
    text = _render(
        "verdict.jinja",
        preamble=constitution.preamble,
        prompt=conversation[:-1],
        answer=conversation[-1].content,
        statement=principle.statement,
    )
    return (Message("user", text),)


def question_messages(question: str, conversation: Conversation) -> Conversation:
    """A question of one's own about the last turn of `conversation`, to be answered Yes or No."""
    text = _render(
        "question.jinja",
        prompt=conversation[:-1],
        answer=conversation[-1].content,
        question=question,
    )
    return (Message("user", text),)


def preference_messages(
    constitution: Constitution,
    principle: Principle,
    prompt: Conversation,
    replies: tuple[str, str],
    *,
    reasoning: bool = False,
) -> Conversation:
    """The judge's question: which of two replies to `prompt` is better by `principle`, A or B?

    It is the principle's own `preference` where there is one. With `reasoning` the judge is asked
    to think first; `preference_choice` is the turn that then asks for the letter.
    """
    text = _render(
        "preference.jinja",
        preamble=constitution.preamble,
        prompt=prompt,
        first=replies[0],
        second=replies[1],
        preference=principle.preference,
        statement=principle.statement,
        reasoning=reasoning,
    )
    return (Message("user", text),)


def preference_choice(principle: Principle) -> Message:
    """The turn that asks for the letter, once the judge has written its reasoning."""
    return Message(
        "user",
        _render(
            "preference_choice.jinja",
            preference=principle.preference,
            statement=principle.statement,
        ),
    )


def conflict_messages(
    constitution: Constitution, first: Principle, second: Principle, *, swapped: bool
) -> Conversation:
    """The judge's question: do two principles pull against each other (A), or not (B)? `swapped`
    gives the letters to the other answer."""
    text = _render(
        "conflict.jinja",
        preamble=constitution.preamble,
        first=first.statement,
        second=second.statement,
        swapped=swapped,
    )
    return (Message("user", text),)


def few_shot_messages(constitution: Constitution) -> Conversation:
    """The constitution's example critiques and revisions, as the turns that come before the real
    conversation (Bai et al. 2022, section 3.1: few-shot prompting of critiques and revisions)."""
    turns: list[Message] = []
    for example in constitution.few_shot:
        principle = constitution.principle(example.principle)
        turns += [
            Message("user", example.prompt),
            Message("assistant", example.answer),
            Message("user", critique_request(constitution, principle)),
            Message("assistant", example.critique),
            Message("user", revision_request(constitution, principle)),
            Message("assistant", example.revision),
        ]
    return tuple(turns)
