"""`solon constitution show`: a constitution for people to read, or the prompts it becomes."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem, nearest, visible
from constitution.schema import Constitution, Principle, Stakeholder
from constitution.selection import applicable

__all__ = ["show"]

_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}


def show(
    file: Annotated[
        str, typer.Argument(help="A YAML file, or the name of a shipped constitution.")
    ],
    principle: Annotated[str | None, typer.Option(help="Only the principle of that id.")] = None,
    stakeholder: Annotated[
        str | None, typer.Option(help="Only what is drawn under that profile, with its weights.")
    ] = None,
    rendered: Annotated[
        bool, typer.Option("--rendered", help="Exactly what the models will be asked.")
    ] = False,
) -> None:
    """Print a constitution with its parents merged in, or the rendered prompts."""
    loaded = load_constitution(file)
    if stakeholder is not None:
        _check_named("--stakeholder", stakeholder, list(loaded.stakeholders))
        loaded = _under_profile(loaded, stakeholder)
    if principle is not None:
        _check_named("--principle", principle, [p.id for p in loaded.principles])
    chosen = [p for p in loaded.principles if principle in (None, p.id)]
    if rendered:
        from engine.loop.rendered_requests import rendered_requests

        typer.echo(rendered_requests(loaded, chosen))
    else:
        _print_constitution(loaded, chosen)


def _check_named(option: str, name: str, known: list[str]) -> None:
    if name not in known:
        remedy = nearest(name, known) or f"there is {', '.join(known) or 'none'}"
        raise InputError(Problem(option, f"no {name!r} to show", remedy))


def _under_profile(constitution: Constitution, stakeholder: str) -> Constitution:
    """The principles that can be drawn under that profile, with the weights it gives them."""
    weighed = applicable(constitution, None, stakeholder)
    principles = tuple(p.model_copy(update={"weight": weight}) for p, weight in weighed)
    profiles = {stakeholder: constitution.stakeholders[stakeholder]}
    return constitution.model_copy(update={"principles": principles, "stakeholders": profiles})


def _print_constitution(constitution: Constitution, principles: Sequence[Principle]) -> None:
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
