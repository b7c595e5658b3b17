"""A constitution on the terminal, for people to read."""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from constitution.checks import check_facts
from constitution.problems import visible
from constitution.schema import Constitution, Principle, Stakeholder

__all__ = ["print_constitution"]

_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}


def print_constitution(constitution: Constitution, principles: Sequence[Principle]) -> None:
    """Print `principles` of it, its texts and its profiles."""
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
    if principle.check:
        facts = check_facts(principle.check).items()
        yield "check", "\n".join(f"{key}: {told}" for key, told in facts)
        yield "judged", "too: both must hold" if principle.needs_judge else "no: the check decides"
    yield "tags", ", ".join(principle.tags)
    yield "only for tags", ", ".join(principle.applies_to.tags)
    yield "only for stakeholders", ", ".join(principle.applies_to.stakeholders)
    for test in principle.tests:
        yield "test", test.prompt
        yield from (("  keeps it", answer) for answer in test.compliant)
        yield from (("  breaks it", answer) for answer in test.violating)


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
