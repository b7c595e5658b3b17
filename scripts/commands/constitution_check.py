"""`solon constitution check`: is a file valid, and beyond that, is it likely to work?"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from constitution.problems import InputError, Problem, visible
from scripts.commands import options as o

if TYPE_CHECKING:
    from constitution.lint import Conflict, LintFinding

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
        Literal["text", "json", "sarif", "github"],
        typer.Option(
            "--format",
            "-f",
            help="How findings are written; errors are among them but for text, which has them on standard error.",
        ),
    ] = "text",
    fix: Annotated[
        bool, typer.Option("--fix", help="Fix what changes nothing that a model reads.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 for any advice, not only for errors.")
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
    from constitution.lint import Level, LintFormat, fix_file, formatted, invalid

    tags = _prompt_tags(prompts) if prompts else None
    conflicts = _conflicts(files, judge, chat_template) if judge is not None else {}
    problems: list[Problem] = []
    findings: list[LintFinding] = []
    for file in files:
        try:
            if fix and fix_file(file):
                typer.echo(f"{file}: fixed", err=format != "text")
            findings += _checked(file, tags, conflicts.get(file, []), told=format == "text")
        except InputError as error:
            problems += error.problems
    if format != "text":
        findings = [*map(invalid, dict.fromkeys(problems)), *findings]
    if text := formatted(findings, LintFormat(format)):
        shown = map(visible, text.splitlines())
        typer.echo("\n".join(shown) if format == "text" else text)
    if problems:
        raise InputError(dict.fromkeys(problems))
    if (strict and findings) or any(one.rule.level is Level.ERROR for one in findings):
        raise typer.Exit(1)


def _checked(
    file: str, tags: frozenset[str] | None, conflicts: "list[Conflict]", *, told: bool
) -> "list[LintFinding]":
    """The findings of a file that is valid; with `told` a line that says so."""
    from constitution.lint import lint_file
    from constitution.loader import load_constitution
    from scripts.commands.terminal import counted

    loaded = load_constitution(file)
    findings = lint_file(file, tags, loaded, conflicts)
    if told:
        count, tests = len(loaded.principles), sum(len(p.tests) for p in loaded.principles)
        line = (
            f"{file}: ok: {loaded.name} {loaded.version}, {counted(count, 'principle')}, "
            f"{counted(tests, 'test')}, {loaded.content_hash}"
        )
        advice = f", {counted(len(findings), 'finding')}" if findings else ""
        typer.echo(visible(line + advice))
    return findings


def _prompt_tags(prompts: str) -> frozenset[str]:
    from engine.prompts.sources import open_prompts

    return frozenset(tag for prompt in open_prompts(Path(prompts)) for tag in prompt.tags)


def _conflicts(
    files: list[str], judge: str, chat_template: Path | None
) -> "dict[str, list[Conflict]]":
    """Ask the judge about the pairs of each file that is valid; says on standard error how many
    were asked about, and how many of them got no answer."""
    from engine.generators.spec import open_generator, require_template_use
    from engine.judging.principle_conflicts import judge_files, questions_of
    from scripts.commands.terminal import error_console, run_interruptibly

    require_template_use([judge], chat_template)
    generator = open_generator(judge, chat_template=chat_template)
    questions, console = {}, error_console()
    for file in dict.fromkeys(files):
        with suppress(InputError):  # reported by the check
            questions[file] = questions_of(file)
            if left_out := questions[file].left_out:
                console.print(
                    f"{file}: {left_out:,} of {left_out + len(questions[file].pairs):,} pairs are "
                    "left out: those with the fewest words in common",
                    soft_wrap=True,
                )
    total = sum(len(one.pairs) for one in questions.values())
    if not total:
        return {}
    with console.status(f"asking {generator.spec}") as status:
        work = judge_files(
            questions, generator, lambda n: status.update(f"{n:,} of {total:,} pairs of principles")
        )
        answers = run_interruptibly(work, lambda: None)
    for file, found in answers.items():
        silent = sum(answer.probabilities is None for answer in found)
        note = f", {silent:,} without an answer" if silent else ""
        console.print(f"{file}: pairs of principles judged: {len(found):,}{note}", soft_wrap=True)
    return {
        file: [one.conflict for one in found if one.conflict] for file, found in answers.items()
    }
