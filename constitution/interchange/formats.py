"""Which format a file is in, and the way to read and write each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constitution.interchange import criteria, judges, pairs, rows
from constitution.interchange.documents import Document, read_document
from constitution.interchange.draft import ConstitutionDraft, Exported, Format, Imported
from constitution.loader import load_constitution_text
from constitution.problems import InputError, Problem, nearest
from constitution.schema import Constitution, slug
from constitution.yaml_source import read_text

__all__ = ["export_constitution", "format_of", "import_constitution"]

_SHAPES = pairs.SHAPES | criteria.SHAPES | judges.SHAPES | rows.SHAPES
_OTHERS = (Format.OPEN_CHARACTER_LINES, Format.PRINCIPLES)
_TOLD_APART = tuple(format for format in Format if format not in _OTHERS)
"""A list of traits and lines of traits read alike; what is of no project is tried last."""


def format_of(data: Any, file: str) -> Format:
    """The one format that `data` has the shape of. Raises InputError if none has, or several."""
    found = [format for format in _TOLD_APART if _SHAPES[format].is_one(data)]
    if len(found) == 1:
        return found[0]
    rows = data if isinstance(data, list) else ()
    if any(isinstance(row, dict) and "(A)" in str(row.get("prompt")) for row in rows):
        what = "holds examples of a judge's reasoning, which a constitution has no place for"
        raise InputError(Problem(file, what, "import the instructions they belong to"))
    if not found and _SHAPES[Format.PRINCIPLES].is_one(data):
        return Format.PRINCIPLES
    named = ", ".join(found or (*_TOLD_APART, Format.PRINCIPLES))
    if found:
        raise InputError(Problem(file, f"could be {named}", "say which with --from"))
    raise InputError(Problem(file, "is in no format that is known here", f"known are {named}"))


def import_constitution(
    path: Path,
    *,
    format: Format | None = None,
    name: str | None = None,
    few_shot: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Imported:
    """Read a file of another project; `few_shot` is a second one, whose examples are added.

    The constitution is called `name`, or what the file says, or as the file is called. `columns`
    say which field of a principle each of a table's columns is, where its name does not. Raises
    InputError with everything that is wrong, and in a file of no known format.
    """
    document = read_document(path)
    _refuse_own(path, document)
    format = format or (Format.PRINCIPLES if columns else format_of(document.data, str(path)))
    draft = ConstitutionDraft(
        str(path), slug(name or ""), columns=_known_fields(columns or {}, format)
    )
    draft.notes += document.notes
    _SHAPES[format].read(document.data, draft)
    if few_shot is not None and draft.principles:
        _add_few_shot(draft, few_shot)
    draft.name = draft.name or slug(path.stem) or "imported"
    return draft.finished(format)


def _refuse_own(path: Path, document: Document) -> None:
    """Raise InputError for a constitution of our own, of which an import would lose parts."""
    if isinstance(document.data, dict) and {"name", "principles"} <= document.data.keys():
        try:
            load_constitution_text(read_text(path), str(path))
        except InputError:
            return
        remedy = "use it as it is, or name it under `extends` of another"
        raise InputError(Problem(str(path), "is a constitution already", remedy))


def _known_fields(columns: Mapping[str, str], format: Format) -> Mapping[str, str]:
    if columns and format is not Format.PRINCIPLES:
        what = f"names columns, which {format} does not have"
        raise InputError(
            Problem("--map", what, f"leave it out, or read --from {Format.PRINCIPLES}")
        )
    for field in columns.values():
        if field not in rows.FIELDS:
            remedy = nearest(field, rows.FIELDS) or f"choose {', '.join(rows.FIELDS)}"
            raise InputError(Problem("--map", f"no field {field!r}", remedy))
    return columns


def export_constitution(constitution: Constitution, format: Format) -> Exported:
    """The text of a file in that format. Raises InputError if it can hold nothing of this one."""
    return _SHAPES[format].exported(constitution)


_WITH_EXAMPLES = (Format.ANTHROPIC_FEW_SHOT, Format.NEMO_ALIGNER)


def _add_few_shot(draft: ConstitutionDraft, path: Path) -> None:
    data = read_document(path).data
    format = format_of(data, str(path))
    if format not in _WITH_EXAMPLES:
        what = f"is {format}, which is not a file of examples"
        remedy = f"give one that is {' or '.join(_WITH_EXAMPLES)}"
        raise InputError(Problem(str(path), what, remedy))
    file, draft.file = draft.file, str(path)
    _SHAPES[format].read(data, draft)
    draft.file = file
