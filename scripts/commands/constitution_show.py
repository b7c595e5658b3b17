"""A constitution for people to read, and the requests it becomes."""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from constitution.schema import Constitution, Principle, Stakeholder
from constitution.visible import visible
from engine.messages import Conversation, Message
from engine.rendering import (
    critique_request,
    few_shot_messages,
    preference_messages,
    revision_request,
    verdict_messages,
)

__all__ = ["print_constitution", "rendered_requests", "under_profile"]

_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}


def under_profile(constitution: Constitution, stakeholder: str) -> Constitution:
    """The principles that can be drawn under that profile, with the weights it gives them."""
    profile = constitution.stakeholders[stakeholder]
    weighed = (
        principle.model_copy(update={"weight": profile.weights.get(principle.id, principle.weight)})
        for principle in constitution.principles
        if not (scope := principle.applies_to.stakeholders) or stakeholder in scope
    )
    return constitution.model_copy(
        update={
            "principles": tuple(principle for principle in weighed if principle.weight > 0),
            "stakeholders": {stakeholder: profile},
        }
    )


def print_constitution(constitution: Constitution, principles: Sequence[Principle]) -> None:
    """Print the constitution's head and those principles."""
    console = Console(highlight=False)
    title = Text(visible(f"{constitution.name} {constitution.version}"), style="bold")
    console.print(Text.assemble(title, (f"  {constitution.content_hash}", "dim")))
    for text in (constitution.description, constitution.preamble):
        if text:
            console.print(Padding(Text(visible(text)), (1, 0, 0, 0)))
    for principle in principles:
        console.print()
        console.print(_principle(principle))
    for name, stakeholder in constitution.stakeholders.items():
        console.print(_stakeholder(name, stakeholder))


def _principle(principle: Principle) -> RenderableType:
    severity = (principle.severity.value, _SEVERITY_STYLES[principle.severity])
    title = Text.assemble(
        (principle.id, "bold cyan"),
        "  ",
        severity,
        (f"  weight {principle.weight:g}  {principle.content_hash}", "dim"),
    )
    return Group(Rule(title, align="left", style="dim"), _fields(_facts(principle)))


def _facts(principle: Principle) -> Iterator[tuple[str, str]]:
    yield "statement", principle.statement
    yield "critique", principle.critique or ""
    yield "revision", principle.revision or ""
    yield "preference", principle.preference or ""
    yield "tags", ", ".join(principle.tags)
    yield "only for tags", ", ".join(principle.applies_to.tags)
    yield "only for stakeholders", ", ".join(principle.applies_to.stakeholders)
    for test in principle.tests:
        yield "test", test.prompt
        yield "  keeps it", test.compliant
        yield "  breaks it", test.violating


def _stakeholder(name: str, stakeholder: Stakeholder) -> RenderableType:
    facts = [("", stakeholder.description or "")]
    facts += [(id, f"weight {weight:g}") for id, weight in stakeholder.weights.items()]
    title = Rule(Text(visible(f"stakeholder {name}"), style="bold"), align="left", style="dim")
    return Padding(Group(title, _fields(iter(facts))), (1, 0, 0, 0))


def _fields(facts: Iterator[tuple[str, str]]) -> Table:
    """One row for each fact that says something."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        if text:
            table.add_row(Text(visible(name)), Text(visible(text)))
    return table


def rendered_requests(constitution: Constitution, principles: Sequence[Principle]) -> str:
    """What critic, reviser and judge read about each principle, word for word.

    The conversation is the principle's first test with its violating answer; without tests, and
    for what a model is yet to write, parentheses stand in. Invisible characters are spelled out.
    """
    parts = []
    few_shot = few_shot_messages(constitution)
    if few_shot:
        parts += ["=== examples, before every critique and revision", _turns(few_shot)]
    for principle in principles:
        conversation = _example(principle)
        critique = Message("user", critique_request(constitution, principle))
        revision = Message("user", revision_request(constitution, principle))
        verdict = verdict_messages(constitution, principle, conversation)
        parts += [f"=== {principle.id}: critic", _turns((*conversation, critique))]
        written = Message("assistant", "(the critique)")
        parts += [f"=== {principle.id}: reviser, after the critic's turns"]
        parts += [_turns((written, revision))]
        parts += [f"=== {principle.id}: judge", _turns(verdict)]
        replies = (conversation[-1].content, _other_reply(principle))
        compared = preference_messages(constitution, principle, conversation[:-1], replies)
        parts += [f"=== {principle.id}: judge, of two replies", _turns(compared)]
    return visible("\n\n".join(parts))


def _example(principle: Principle) -> Conversation:
    prompt, answer = "(the prompt)", "(the reply)"
    if principle.tests:
        prompt, answer = principle.tests[0].prompt, principle.tests[0].violating
    return (Message("user", prompt), Message("assistant", answer))


def _other_reply(principle: Principle) -> str:
    return principle.tests[0].compliant if principle.tests else "(the other reply)"


def _turns(messages: Conversation) -> str:
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)
