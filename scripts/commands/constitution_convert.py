"""`solon constitution import` and `export`: the formats of other projects."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from constitution.problems import InputError, Problem, visible

__all__ = ["export_to", "import_from"]

Foreign = Literal[
    "anthropic", "anthropic-few-shot", "anthropic-preference", "llm-swarm", "nemo-aligner",
    "open-character", "open-character-jsonl", "icai", "constitutional-evals", "langchain",
    "promptfoo", "nemo-guardrails", "oumi", "principles",
]  # fmt: skip
"""The values of `Format`, written out so that no command need import them to start."""

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file.")]


def import_from(
    file: Annotated[Path, typer.Argument(help="A file of another project.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The YAML file to write.")],
    format: Annotated[
        Foreign | None, typer.Option("--from", help="Its format, if it cannot be told.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=FIELD",
            help="What a column of a table is, such as text=statement; again for each.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the constitution.")] = None,
    few_shot: Annotated[
        Path | None, typer.Option(help="A file of examples that belongs to it.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Where to write questions that came with the principles.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read a constitution of another project, saying what was derived or left out."""
    import json

    from constitution.interchange import Format, import_constitution
    from constitution.loader import load_constitution_text
    from constitution.yaml_writer import constitution_yaml, schema_comment, write_whole
    from engine.storage.atomic import check_file

    for path in filter(None, (out, prompts)):
        check_file(path, overwrite, file, few_shot)
        path.parent.mkdir(parents=True, exist_ok=True)
    if prompts is not None and prompts.resolve() == out.resolve():
        raise InputError(
            Problem("--prompts", f"{out} is where the constitution goes", "name another")
        )
    imported = import_constitution(
        file,
        format=Format(format) if format else None,
        name=name,
        few_shot=few_shot,
        columns=_mapped(columns or []),
    )
    loaded = load_constitution_text(constitution_yaml(imported.constitution), str(out))
    text = constitution_yaml(imported.constitution, comment=schema_comment(out))
    if prompts is not None:
        rows = (json.dumps(row, ensure_ascii=False) + "\n" for row in imported.prompts)
        write_whole(prompts, "".join(rows))
    write_whole(out, text)
    count = len(loaded.principles)
    _say(f"{out}: {loaded.name}, {count:,} principles from {imported.format}", err=False)
    for note in imported.notes:
        _say(f"  {note}")


def _mapped(columns: list[str]) -> dict[str, str]:
    """The field of each column. Raises InputError."""
    pairs = [text.rpartition("=") for text in columns]
    for text, (column, _, field) in zip(columns, pairs, strict=True):
        if not column.strip() or not field.strip():
            remedy = "write COLUMN=FIELD, such as text=statement"
            raise InputError(Problem("--map", f"{text!r} is not a column and a field", remedy))
    return {column.strip(): field.strip() for column, _, field in pairs}


def export_to(
    file: Annotated[str, typer.Argument(help="A YAML file, or a shipped name.")],
    format: Annotated[Foreign, typer.Option("--to", help="The format.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a constitution as another project reads it, saying what was left out."""
    from constitution.interchange import Format, export_constitution
    from constitution.loader import load_constitution
    from constitution.yaml_writer import write_whole
    from engine.storage.atomic import check_file

    check_file(out, overwrite, Path(file))
    out.parent.mkdir(parents=True, exist_ok=True)
    loaded = load_constitution(file)
    exported = export_constitution(loaded, Format(format))
    write_whole(out, exported.text)
    _say(f"{out}: {loaded.name} as {format}", err=False)
    for note in exported.notes:
        _say(f"  {note}")


def _say(text: str, *, err: bool = True) -> None:
    """Notes go to standard error, the result to standard output."""
    typer.echo(visible(text), err=err)
