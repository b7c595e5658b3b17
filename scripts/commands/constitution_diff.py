"""`solon constitution diff`: what an edit changed, and what it will cost on a run."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from constitution.problems import InputError, Problem, all_problems, visible

if TYPE_CHECKING:
    from constitution.diff_text import Piece
    from constitution.schema import Constitution
    from engine.runs.edit_cost import EditCost

__all__ = ["diff"]

_Column = Annotated[str | None, typer.Option(help="Where --prompts has it.")]
_GIT_ARGUMENTS = (7, 9)
"""What git gives an external diff: path, old file, hash and mode, new file, hash and mode, and for
a renamed file its new path and its score."""
_STYLES = {
    "old": "red strike",
    "new": "green underline",
    "was": "red",
    "now": "green",
    "head": "bold",
    "": "",
}


def diff(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="OLD NEW", help="Files, shipped names, or REV:PATH as git has them."
        ),
    ],
    run: Annotated[
        Path | None, typer.Option(help="Also what the edit will generate on that run.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", "-p", help="The run's prompts, if they moved.")
    ] = None,
    prompt_column: _Column = None,
    id_column: _Column = None,
    tags_column: _Column = None,
    format: Annotated[
        Literal["text", "json"], typer.Option("--format", "-f", help="For people or programs.")
    ] = "text",
) -> None:
    """Show differences by principle; exit 0 if nothing does, 1 if something does.

    git takes it for `git diff` too: see the documentation of the format.
    """
    from constitution.diff import diff as compare
    from constitution.diff_text import diff_document, diff_lines
    from constitution.git_revision import load_revision

    columns = (prompt_column, id_column, tags_column)
    if run is None and any((prompts, *columns)):
        what, remedy = "prompts are named, and no run", "add --run, or leave them out"
        raise InputError(Problem("--prompts", what, remedy))
    if len(files) in _GIT_ARGUMENTS and run is None:
        _print_for_git(files[0], files[1], files[4])
        return
    if len(files) != 2:
        remedy = "write `solon constitution diff OLD NEW`"
        raise InputError(Problem("diff", f"compares two files and was given {len(files)}", remedy))
    old, new = all_problems(lambda: load_revision(files[0]), lambda: load_revision(files[1]))
    cost = _cost(run, new, prompts, columns) if run is not None else None
    changes = compare(old, new)
    if format == "json":
        document = diff_document(old, new, changes)
        if run and cost:
            ours = {"run": str(run), "old_is_the_runs": cost.made_with == old.content_hash}
            document["cost"] = ours | cost.as_dict()
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        lines = [*diff_lines(old, new, changes)] if changes else []
        if run and cost:
            lines += [[(line, "")] for line in _cost_lines(run, cost, old)]
        _print(lines)
    raise typer.Exit(1 if changes else 0)


def _cost(
    run: Path,
    new: "Constitution",
    prompts: str | None,
    columns: tuple[str | None, str | None, str | None],
) -> "EditCost":
    """What going on with `new` will generate on that run. Raises InputError."""
    from engine.prompts.rows import Columns
    from engine.runs.edit_cost import edit_cost

    prompt, id, tags = columns
    named = Columns(prompt, id, tags) if any(columns) else None
    return edit_cost(run, new, prompts=prompts, columns=named)


def _print_for_git(path: str, old: str, new: str) -> None:
    """Print what differs between two files that git names, as versions of `path`.

    A version that is no constitution is reported in its place: git takes a failure for its own.
    """
    from constitution.diff import diff as compare
    from constitution.diff_text import diff_lines

    try:
        before, after = (_version(path, file) for file in (old, new))
    except InputError as error:
        typer.echo(visible(f"{path}: {error}"))
        return
    _print([[(path, "head")], *diff_lines(before, after, compare(before, after)), [("", "")]])


def _version(path: str, file: str) -> "Constitution":
    from constitution.loader import load_constitution_text
    from constitution.reading import read_bytes
    from constitution.schema import Constitution
    from constitution.yaml_source import decode

    content = b"" if file == os.devnull else read_bytes(Path(file))
    if not content:
        return Constitution(name="nothing")
    return load_constitution_text(decode(content, path), path)


def _cost_lines(run: Path, cost: "EditCost", old: "Constitution") -> Iterator[str]:
    from engine.report.wording import duration

    plan = cost.plan
    calls = ", ".join(f"{role} {count:,}" for role, count in plan.calls.items() if count)
    yield ""
    yield (
        f"{run}: {'at most ' if cost.at_most else ''}{plan.conversations_to_generate:,} of "
        f"{plan.conversations:,} conversations are generated again"
    )
    yield f"  calls   {sum(plan.calls.values()):,} ({calls or 'none'}), {plan.cached_calls:,} re-used"
    yield (
        f"  tokens  about {plan.completion_tokens:,} to write, "
        f"about {plan.prompt_tokens:,} to read before the KV cache"
    )
    if cost.seconds is not None:
        yield f"  time    about {duration(cost.seconds)}, at the pace of its last run here"
    if plan.sampled < plan.conversations:
        yield f"  (estimated from {plan.sampled:,} of the conversations)"
    if cost.made_with != old.content_hash:
        yield "  (the run was made with other words than OLD; this is what NEW costs on it as it stands)"


def _print(lines: "Sequence[Sequence[Piece]]") -> None:
    """In colour on a terminal, else with `[-old-]{+new+}`, line by line as it is."""
    from rich.text import Text

    from scripts.commands.terminal import output_console

    console = output_console()
    for pieces in lines:
        if console.is_terminal:
            console.print(
                Text.assemble(*((visible(text), _STYLES[style]) for text, style in pieces))
            )
        else:
            typer.echo("".join(_marked(visible(text), style) for text, style in pieces))


def _marked(text: str, style: str) -> str:
    match style:
        case "old":
            return f"[-{text}-]"
        case "new":
            return f"{{+{text}+}}"
        case _:
            return text
