"""What a model is asked, as text: a principle's words inside the framing of `templates/*.jinja`.

Substituted values are never rendered again, and text that a user or a model wrote cannot close the
tags it is quoted in, so what is asked keeps its structure whatever is being judged.
"""

import re
from functools import cache, lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from constitution.schema import Constitution, FewShotExample, Principle
from engine.messages import Conversation, Message

__all__ = [
    "afresh_request",
    "conflict_messages",
    "critique_request",
    "example_text",
    "preference_choice",
    "preference_messages",
    "question_messages",
    "quoted",
    "render",
    "request_messages",
    "review_messages",
    "revision_request",
    "rewrite_messages",
    "verdict_messages",
]

_NAMES = (
    "conversation", "example", "argument", "reply", "reply_a", "reply_b", "system", "user",
    "assistant",
)  # fmt: skip
_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters, for Unicode, that nobody sees."""
_UNSEEN = rf"(?:[^\w!-~\uff1c]|[{_FILLERS}])*+"
"""White space, marks and format characters: what may stand between a tag's letters and leave it a tag
to its reader. All but letters, digits and the punctuation of ASCII, so that no list is needed."""
_TAG = re.compile(
    rf"[<\uff1c](?={_UNSEEN}(?:/{_UNSEEN})?"
    rf"(?:{'|'.join(_UNSEEN.join(name) for name in _NAMES)})(?![^\W{_FILLERS}]))",
    re.IGNORECASE,
)


def quoted(text: str) -> str:
    """`text` with every tag of the templates made inert (`<reply>` reads `&lt;reply>`), also where
    characters that cannot be seen stand in it."""
    return _TAG.sub("&lt;", text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # the output is a prompt, not HTML
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = quoted
    return environment


def render(template: str, **values: object) -> str:
    """A template of `templates/`, filled. Raises jinja2.UndefinedError for a value that it lacks."""
    return _environment().get_template(template).render(values).strip()


def critique_request(constitution: Constitution, principle: Principle) -> str:
    """The user turn that asks the critic about the conversation's last reply."""
    return _critique(constitution.preamble, principle.critique, principle.statement)


def revision_request(constitution: Constitution, principle: Principle) -> str:
    """The user turn that asks the reviser to rewrite the reply just criticised."""
    return _revision(principle.revision, principle.statement)


def afresh_request(constitution: Constitution, principle: Principle) -> str:
    """What follows the user's own words where the reviser answers them again."""
    return _afresh(constitution.preamble, principle.revision, principle.statement)


@cache
def _afresh(preamble: str | None, revision: str | None, statement: str) -> str:
    return render("afresh.jinja", preamble=preamble, revision=revision, statement=statement)


@cache
def _critique(preamble: str | None, critique: str | None, statement: str) -> str:
    return render("critique.jinja", preamble=preamble, critique=critique, statement=statement)


@cache
def _revision(revision: str | None, statement: str) -> str:
    return render("revision.jinja", revision=revision, statement=statement)


def verdict_messages(
    constitution: Constitution, principle: Principle, conversation: Conversation
) -> Conversation:
    """The judge's question: is the statement of `principle` true of the last turn of `conversation`?

    The principle comes last, so that verdicts on one answer share their prompt up to there.
    """
    return _about_reply(
        "verdict.jinja",
        conversation,
        constitution.preamble,
        statement=principle.statement,
    )


def question_messages(
    question: str, conversation: Conversation, preamble: str | None = None
) -> Conversation:
    """A question of one's own about the last turn of `conversation`, to be answered Yes or No."""
    return _about_reply("question.jinja", conversation, preamble, question=question)


def request_messages(
    question: str, conversation: Conversation, preamble: str | None = None
) -> Conversation:
    """A question about the user's last message, which is not answered yet, for Yes or No."""
    text = render("request.jinja", prompt=conversation, preamble=preamble, question=question)
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
    text = render(
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
        render(
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
    text = render(
        "conflict.jinja",
        preamble=constitution.preamble,
        first=first.statement,
        second=second.statement,
        swapped=swapped,
    )
    return (Message("user", text),)


def review_messages(
    constitution: Constitution,
    principle: Principle,
    conversation: Conversation,
    example: str = "",
    *,
    broken: bool = False,
) -> Conversation:
    """The critic's question about the last turn of a quoted `conversation`, after an example; of a reply
    found to be `broken` it may not say that nothing is wrong."""
    return _about_reply(
        "review.jinja",
        conversation,
        constitution.preamble,
        statement=principle.statement,
        critique=principle.critique,
        example=example,
        broken=broken,
    )


def rewrite_messages(
    constitution: Constitution,
    principle: Principle,
    conversation: Conversation,
    critique: str,
    example: str = "",
) -> Conversation:
    """The reviser's request to rewrite the last turn of a quoted `conversation`, given a critique
    unless that is empty."""
    return _about_reply(
        "rewrite.jinja",
        conversation,
        constitution.preamble,
        statement=principle.statement,
        critique=critique,
        revision=principle.revision,
        example=example,
    )


def _about_reply(
    template: str, conversation: Conversation, preamble: str | None, **values: object
) -> Conversation:
    """One user turn, which quotes the conversation and its last reply."""
    text = render(template, material=_material(preamble, conversation), **values)
    return (Message("user", text),)


@lru_cache(maxsize=64)
def _material(preamble: str | None, conversation: Conversation) -> str:
    """What every question about one reply begins with, rendered once for all principles."""
    prompt, answer = conversation[:-1], conversation[-1].content
    return render("material.jinja", preamble=preamble, prompt=prompt, answer=answer)


@cache
def example_text(example: FewShotExample, *, revision: bool) -> str:
    """An example of the constitution, quoted, for the critic or with its `revision` for the reviser
    (Bai et al. 2022, section 3.1, on few-shot prompting)."""
    return render("example.jinja", **vars(example) | {"revision": revision and example.revision})
