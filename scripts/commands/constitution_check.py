"""`solon constitution check`: is a file valid, and beyond that, is it likely to work?"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from constitution.lint import LintFormat
from constitution.problems import InputError, Problem
from scripts.commands import options as o

if TYPE_CHECKING:
    from constitution.lint import Conflict, Finding

__all__ = ["check"]


def check(
    files: Annotated[list[str], typer.Argument(help="YAML files, or names of shipped ones.")],
    prompts: Annotated[
        str | None,
        typer.Option(
            help="A file of prompts: name the tags that none of them carries.", metavar="FILE"
        ),
    ] = None,
    format: Annotated[
        LintFormat, typer.Option("--format", "-f", help="How advice is written.")
    ] = LintFormat.TEXT,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what changes nothing that a model reads.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if there is any advice.")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC", help="Ask a model, too, which principles pull against each other."
        ),
    ] = None,
    chat_template: o.ChatTemplate = None,
) -> None:
    """Say what is wrong with each file, and what could be better; exit 2 for what is wrong."""
    from constitution.lint import formatted
    from constitution.visible import visible

    tags = _prompt_tags(prompts) if prompts else None
    conflicts = _conflicts(files, judge, chat_template) if judge is not None else {}
    problems: list[Problem] = []
    findings: list[Finding] = []
    for file in files:
        try:
            if fix:
                _mend(file)
            findings += _checked(
                file, tags, conflicts.get(file, []), told=format is LintFormat.TEXT
            )
        except InputError as error:
            problems += error.problems
    if text := formatted(findings, format):
        typer.echo(text if format is not LintFormat.TEXT else _lines(visible, text))
    if problems:
        raise InputError(dict.fromkeys(problems))
    if strict and findings:
        raise typer.Exit(1)


def _checked(
    file: str, tags: frozenset[str] | None, conflicts: "list[Conflict]", *, told: bool
) -> "list[Finding]":
    """The findings of a file that is valid; with `told` a line that says so."""
    from constitution.lint import lint_file
    from constitution.loader import load_constitution
    from constitution.visible import visible

    loaded = load_constitution(file)
    findings = lint_file(file, tags, loaded, conflicts)
    if told:
        count, tests = len(loaded.principles), sum(len(p.tests) for p in loaded.principles)
        line = (
            f"{file}: ok: {loaded.name} {loaded.version}, {_counted(count, 'principle')}, "
            f"{_counted(tests, 'test')}, {loaded.content_hash}"
        )
        advice = f", {_counted(len(findings), 'finding')}" if findings else ""
        typer.echo(visible(line + advice))
    return findings


def _mend(file: str) -> None:
    """Write the mended text in place, whole or not at all."""
    from constitution.lint import fix_text
    from constitution.loader import constitution_path
    from constitution.yaml_source import decode

    path = constitution_path(file).resolve()
    if not path.is_file():
        return  # told by the check
    text = decode(path.read_bytes(), file)
    fixed = fix_text(text, path)
    if fixed != text:
        mode = path.stat().st_mode
        if not mode & 0o222:
            remedy = "make it writable, or leave out --fix"
            raise InputError(Problem(file, "is read-only, and there is something to mend", remedy))
        draft = path.with_name(f".{path.name}.part")
        draft.write_text(fixed, encoding="utf-8", newline="")
        draft.chmod(mode)
        draft.replace(path)
        typer.echo(f"{file}: mended")


def _prompt_tags(prompts: str) -> frozenset[str]:
    from engine.prompts.sources import open_prompts

    return frozenset(tag for prompt in open_prompts(Path(prompts)) for tag in prompt.tags)


def _conflicts(
    files: list[str], judge: str, chat_template: Path | None
) -> "dict[str, list[Conflict]]":
    from scripts.commands.constitution_check_judge import conflicts_by_file

    return conflicts_by_file(files, judge, chat_template)


def _lines(visible: "Callable[[str], str]", text: str) -> str:
    return "\n".join(visible(line) for line in text.splitlines())


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
