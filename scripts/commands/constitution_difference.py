"""The differences between two constitutions, and their cost, as people and programs read them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from constitution.diff import Change, ChangeKind, diff
from constitution.loader import load_constitution_text
from constitution.problems import InputError
from constitution.schema import Constitution
from constitution.visible import visible
from constitution.word_diff import word_diff
from constitution.yaml_source import decode
from scripts.commands.terminal import output_console

if TYPE_CHECKING:
    from engine.prompts.rows import Columns
    from engine.runs.edit_cost import EditCost

__all__ = ["Cost", "cost_on", "show", "show_for_git"]

_STYLES = {
    "old": "red strike",
    "new": "green underline",
    "was": "red",
    "now": "green",
    "head": "bold",
    "": "",
}
_SHORT = (ChangeKind.REWEIGHTED, ChangeKind.RESCOPED, ChangeKind.RENAMED, ChangeKind.REORDERED)
"""Kinds whose two sides are shown whole; in the others the changed words are marked."""
Piece = tuple[str, str]
"""Text, and a key of `_STYLES`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the edit costs, and whether OLD is what the run was made with."""

    run: Path
    edit: "EditCost"
    old_is_the_runs: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run": str(self.run),
            "old_is_the_runs": self.old_is_the_runs,
            "made_with": self.edit.made_with,
            **asdict(self.edit.plan),
            "seconds": self.seconds,
        }

    @property
    def seconds(self) -> float | None:
        """Expected, at the pace of the model's last run on this machine."""
        from engine.runs.throughput import expected_seconds

        return expected_seconds(self.edit.fingerprint, self.edit.plan.completion_tokens)


def cost_on(
    run: Path,
    old: Constitution,
    new: Constitution,
    *,
    prompts: str | None,
    columns: "Columns | None",
) -> Cost:
    """What going on with `new` will generate on that run. Raises InputError as `edit_cost` does."""
    from engine.runs.edit_cost import edit_cost

    edit = edit_cost(run, new, prompts=prompts, columns=columns)
    return Cost(run, edit, edit.made_with == old.content_hash)


def show(
    old: Constitution, new: Constitution, cost: Cost | None, *, as_json: bool
) -> Sequence[Change]:
    """Print what differs, and give it; nothing is printed where nothing differs."""
    changes = diff(old, new)
    if as_json:
        typer.echo(json.dumps(_document(old, new, changes, cost), indent=2, ensure_ascii=False))
        return changes
    lines = [*_text(old, new, changes)] if changes else []
    lines += [[(line, "")] for line in _cost_lines(cost)] if cost else []
    _print(lines)
    return changes


def show_for_git(path: str, old: str, new: str) -> None:
    """Print what differs between two files that git names, as versions of `path`.

    A version that is no constitution is told in its place: git takes a failure for its own.
    """
    try:
        before, after = (_version(path, file) for file in (old, new))
    except InputError as error:
        typer.echo(visible(f"{path}: {error}"))
        return
    _print([[(path, "head")], *_text(before, after, diff(before, after)), [("", "")]])


def _version(path: str, file: str) -> Constitution:
    content = Path(file).read_bytes()
    if not content:
        return Constitution(name="nothing")
    return load_constitution_text(decode(content, path), path)


def _document(
    old: Constitution, new: Constitution, changes: Sequence[Change], cost: Cost | None
) -> dict[str, Any]:
    def head(one: Constitution) -> dict[str, str]:
        return {"name": one.name, "version": one.version, "hash": one.content_hash}

    told = [asdict(change) | {"alters_runs": change.alters_runs} for change in changes]
    document = {"same": not changes, "old": head(old), "new": head(new), "changes": told}
    return document | ({"cost": cost.as_dict()} if cost else {})


# Text


def _text(old: Constitution, new: Constitution, changes: Sequence[Change]) -> Iterator[list[Piece]]:
    for mark, one in (("---", old), ("+++", new)):
        yield [(f"{mark} {one.name} {one.version} {one.content_hash}", "")]
    for (part, name), group in groupby(changes, lambda change: (change.part, change.name)):
        yield [("", "")]
        yield [(f"{part} {name}".strip(), "head")]
        for change in group:
            yield [(f"  {_label(change)}: ", ""), *_sides(change)]
    yield [("", "")]
    yield [(_summary(changes), "")]


def _label(change: Change) -> str:
    whole = change.kind in (ChangeKind.ADDED, ChangeKind.REMOVED)
    plain = whole or (change.kind.value, change.field) in (
        ("re-weighted", "weight"),
        ("renamed", "id"),
    )
    return change.kind.value if plain else f"{change.kind.value} {change.field}"


def _sides(change: Change) -> Iterator[Piece]:
    old, new = (text and visible(text).replace("\n", "\n    ") for text in (change.old, change.new))
    if change.kind in _SHORT:
        yield from ((old or "(none)", "was"), (" -> ", ""), (new or "(none)", "now"))
        return
    for piece in word_diff(old or "", new or ""):
        if piece.same:
            yield piece.before, ""
            continue
        for text, style in ((piece.before, "old"), (piece.after, "new")):
            if text:
                yield text, style


def _summary(changes: Sequence[Change]) -> str:
    principles: dict[str, set[str]] = {}
    for change in changes:
        if change.part == "principle":
            principles.setdefault(change.kind.value, set()).add(change.name)
    told = ", ".join(f"{len(names):,} {kind}" for kind, names in principles.items())
    told = f"principles: {told}" if told else "no principle differs"
    if not any(change.alters_runs for change in changes):
        told += "; runs made with the old one are still up to date"
    return told


def _cost_lines(cost: Cost) -> Iterator[str]:
    from engine.report.wording import duration

    plan = cost.edit.plan
    calls = ", ".join(f"{role} {count:,}" for role, count in plan.calls.items() if count)
    yield ""
    yield (
        f"{cost.run}: {plan.conversations_to_generate:,} of {plan.conversations:,} conversations "
        f"are generated again"
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
    if not cost.old_is_the_runs:
        yield "  (the run was made with other words than OLD; this is what NEW costs on it as it stands)"


def _print(lines: Sequence[Sequence[Piece]]) -> None:
    """In colour on a terminal, else with `[-old-]{+new+}`, line by line as it is."""
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
