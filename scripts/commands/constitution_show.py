"""`solon constitution show`: a constitution for people to read, or the prompts it becomes."""

from typing import TYPE_CHECKING, Annotated

import typer

from constitution.problems import InputError, Problem, nearest

if TYPE_CHECKING:
    from constitution.schema import Constitution

__all__ = ["show"]


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
    from constitution.loader import load_constitution

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
        from scripts.commands.constitution_view import print_constitution

        print_constitution(loaded, chosen)


def _check_named(option: str, name: str, known: list[str]) -> None:
    if name not in known:
        remedy = nearest(name, known) or f"there is {', '.join(known) or 'none'}"
        raise InputError(Problem(option, f"no {name!r} to show", remedy))


def _under_profile(constitution: "Constitution", stakeholder: str) -> "Constitution":
    """The principles that can be drawn under that profile, with the weights it gives them."""
    from constitution.selection import applicable

    weighed = applicable(constitution, None, stakeholder)
    principles = tuple(p.model_copy(update={"weight": weight}) for p, weight in weighed)
    profiles = {stakeholder: constitution.stakeholders[stakeholder]}
    return constitution.model_copy(update={"principles": principles, "stakeholders": profiles})
