"""Which format a file is in, and the way to read and write each."""

from pathlib import Path
from typing import Any

from constitution.interchange import criteria, pairs
from constitution.interchange.draft import ConstitutionDraft, Exported, Format, Imported
from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json
from constitution.schema import Constitution, slug
from constitution.yaml_source import read_text

__all__ = ["export_constitution", "format_of", "import_constitution"]

_SHAPES = pairs.SHAPES | criteria.SHAPES
_TOLD_APART = tuple(format for format in Format if format is not Format.OPEN_CHARACTER_LINES)
"""A list of traits and lines of traits read alike."""


def format_of(data: Any, file: str) -> Format:
    """The one format that `data` has the shape of. Raises InputError if none has, or several."""
    found = [format for format in _TOLD_APART if _SHAPES[format].is_one(data)]
    if len(found) == 1:
        return found[0]
    rows = data if isinstance(data, list) else ()
    if any(isinstance(row, dict) and "(A)" in str(row.get("prompt")) for row in rows):
        what = "holds examples of a judge's reasoning, which a constitution has no place for"
        raise InputError(Problem(file, what, "import the instructions they belong to"))
    named = ", ".join(found or _TOLD_APART)
    if found:
        raise InputError(Problem(file, f"could be {named}", "say which with --from"))
    raise InputError(Problem(file, "is in no format that is known here", f"known are {named}"))


def import_constitution(
    path: Path,
    *,
    format: Format | None = None,
    name: str | None = None,
    few_shot: Path | None = None,
) -> Imported:
    """Read a file of another project; `few_shot` is a second one, whose examples are added.

    The constitution is called `name`, or what the file says, or as the file is called. Raises
    InputError with everything that is wrong, and in a file of no known format.
    """
    data = _read_json(path)
    format = format or format_of(data, str(path))
    draft = ConstitutionDraft(str(path), slug(name or ""))
    _SHAPES[format].read(data, draft)
    if few_shot is not None and draft.principles:
        _add_few_shot(draft, few_shot)
    draft.name = draft.name or slug(path.stem) or "imported"
    return draft.finished(format)


def export_constitution(constitution: Constitution, format: Format) -> Exported:
    """The text of a file in that format. Raises InputError if it can hold nothing of this one."""
    return _SHAPES[format].exported(constitution)


_WITH_EXAMPLES = (Format.ANTHROPIC_FEW_SHOT, Format.NEMO_ALIGNER)


def _add_few_shot(draft: ConstitutionDraft, path: Path) -> None:
    data = _read_json(path)
    format = format_of(data, str(path))
    if format not in _WITH_EXAMPLES:
        what = f"is {format}, which is not a file of examples"
        remedy = f"give one that is {' or '.join(_WITH_EXAMPLES)}"
        raise InputError(Problem(str(path), what, remedy))
    file, draft.file = draft.file, str(path)
    _SHAPES[format].read(data, draft)
    draft.file = file


def _read_json(path: Path) -> Any:
    """What a JSON file holds; a file of JSON lines is a list of its lines.

    Raises InputError where it is neither, nests too deep or gives a key twice.
    """
    text = read_text(path)
    try:
        data = parse_json(text, strict=True)
    except NotJson as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            if len(lines) > 1:
                return [parse_json(line, strict=True) for line in lines]
        except NotJson as of_line:
            error = error if of_line.place else of_line
        place = f"{path}:{error.place}" if error.place else str(path)
        remedy = "every format but Solon's own is JSON or JSON lines"
        raise InputError(Problem(place, str(error), remedy)) from None
    return [data] if isinstance(data, dict) and "trait" in data else data
