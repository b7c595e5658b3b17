"""Options that several commands have for continuous integration."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from engine.report.junit import Case

__all__ = ["Annotations", "Junit", "check_writable", "write_cases"]

Junit: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write results as JUnit XML, too.")
]
Annotations: TypeAlias = Annotated[
    bool, typer.Option("--annotations", help="Print what failed as GitHub's annotations, too.")
]


def check_writable(path: Path | None, read: Path | None = None) -> None:
    """Before a model is asked anything. Raises InputError as `check_file` does."""
    from engine.storage.atomic import check_file

    if path is not None:
        check_file(path, True, read)
        path.parent.mkdir(parents=True, exist_ok=True)


def write_cases(
    name: str, cases: "Sequence[Case]", junit: Path | None, *, annotated: bool, file: str = ""
) -> None:
    """Write the file and print the annotations, as asked."""
    from engine.report.junit import annotations, junit_xml

    if junit:
        junit.write_text(junit_xml(name, cases), encoding="utf-8")
    if annotated and (text := annotations(cases, file)):
        typer.echo(text)
