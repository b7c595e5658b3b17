"""Principles as people keep them, in lists, tables and sections: `principles`, the format of files that
no project defines. Its data are texts; rows such as {"id", "text", "category"}; a mapping from ids to
either, or from categories to lists of either; each also under a key such as `principles`, beside a name
and a version.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constitution.interchange.draft import ConstitutionDraft, Format, Shape
from constitution.interchange.markdown import labelled
from constitution.interchange.wording import compares
from constitution.problems import InputError, Problem, nearest
from constitution.schema import Constitution, Severity, slug
from constitution.yaml_source import shown

__all__ = ["FIELDS", "SHAPES"]

_NAMES = {
    "statement": "statement text principle rule content guideline criterion value description".split(),
    "id": "id key slug name title".split(),
    "tags": "tags tag category categories group section topic".split(),
    "critique": "critique critique_request critic".split(),
    "revision": "revision revision_request".split(),
    "preference": ["preference"],
    "weight": ["weight"],
    "severity": ["severity"],
}
FIELDS = tuple(_NAMES)
"""What a column may be taken for."""
_LISTS = (
    "principles rules constitution guidelines values criteria statements policies items".split()
)
_HEAD = ("name", "title", "version", "description", "preamble")
_BETWEEN_TAGS = re.compile(r"[,;|/]")


def _rows(data: Any, category: str = "") -> Iterator[dict[str, Any]]:
    """A row for each principle, as the file has it."""
    pairs = data.items() if isinstance(data, dict) else ((None, value) for value in data)
    for id, value in pairs:
        row: dict[str, Any] = {"category": category} if category else {}
        row |= {"id": id} if id is not None else {}
        match value:
            case dict() if len(value) == 1 and id is None and not _known(value):
                yield row | _labelled(*next(iter(value.items())))
            case dict():
                yield row | value
            case list():
                yield from _rows(value, category=category if id is None else str(id))
            case _:
                yield row | {"statement": value}


def _labelled(label: str, value: Any) -> dict[str, Any]:
    """Of `- Honesty: The assistant does not lie.`, which YAML takes for a mapping."""
    name, text = labelled(f"{label}: {value}")
    return {"id": name, "statement": text} if name else {"statement": text}


def _known(row: Mapping[Any, Any]) -> bool:
    return any(str(key).strip().lower() in names for key in row for names in _NAMES.values())


def _is_principles(data: Any) -> bool:
    """Whether there is something to read, as far as the shape says."""
    if isinstance(data, dict):
        inside = _list_key(data)
        values = [*data.values()]
        if inside is None and not any(isinstance(v, list | dict) for v in values):
            return bool(values) and all(isinstance(v, str) and " " in v.strip() for v in values)
        data = data[inside] if inside is not None else [v for v in values if not isinstance(v, str)]
    if not isinstance(data, list | dict):
        return False
    rows = [*_rows(data)]
    return any(isinstance(row.get(key), str) for row in rows for key in _statement_keys(row))


def _list_key(data: Mapping[str, Any]) -> str | None:
    """The key that holds the principles, if one does; one key alone may be called anything."""
    holding = [key for key, value in data.items() if isinstance(value, list | dict) and value]
    named = [key for key in _LISTS if key in holding]
    if named:
        return named[0]
    alone = len(holding) == 1 and all(key in _HEAD for key in data if key != holding[0])
    return holding[0] if alone and len(data) > 1 else None


def _statement_keys(row: Mapping[str, Any]) -> list[str]:
    return [key for key in row if str(key).strip().lower() in _NAMES["statement"]]


def _read_principles(data: Any, draft: ConstitutionDraft) -> None:
    data = _read_head(data, draft) if isinstance(data, dict) else draft.items(data, "the file")
    rows = [*_rows(data)]
    columns = _columns(rows, draft)
    for number, row in enumerate(rows, 1):
        _add(row, columns, f"principle {number}", draft)
    unread: dict[str, int] = {}
    for row in rows:
        for key, value in row.items():
            if key not in columns and value not in (None, "", [], {}):
                unread[key] = unread.get(key, 0) + 1
    for key, count in unread.items():
        draft.notes.append(
            f"left out: {shown(key)} of {count:,} principles; --map {key}=FIELD would read it"
        )


def _read_head(data: dict[str, Any], draft: ConstitutionDraft) -> Any:
    inside = _list_key(data)
    if inside is None:
        return data
    name = data.get("name") or data.get("title")
    draft.name = draft.name or (slug(str(name)) if name else "")
    for key in ("version", "description", "preamble"):
        if isinstance(data.get(key), str | int | float):
            setattr(draft, key, str(data[key]).strip() or None)
    draft.version = draft.version or "1.0.0"
    draft.left_out(data, (*_HEAD, inside))
    inner = data[inside]
    return _read_head(inner, draft) if isinstance(inner, dict) else inner


def _columns(rows: Sequence[dict[str, Any]], draft: ConstitutionDraft) -> dict[str, str]:
    """The field that each column is: as it was mapped, else by its name. Raises InputError for
    columns that are mapped and not there, and where none says what a principle is."""
    there = list(dict.fromkeys(key for row in rows for key in row))
    for column in draft.columns:
        if column not in there:
            what, remedy = f"there is no column {shown(column)}", nearest(column, there)
            raise InputError(
                Problem(f"--map {column}", what, remedy or f"there are {', '.join(there)}")
            )
    found = dict(draft.columns)
    for field, names in _NAMES.items():
        if field in found.values():
            continue
        by_name = [key for name in names for key in there if key.strip().lower() == name]
        free = [key for key in by_name if key not in found]
        if free:
            found[
                max(free, key=lambda key: _length(rows, key)) if field == "statement" else free[0]
            ] = field
    if "statement" in there:  # of a text alone, beside rows that have another column for it
        found.setdefault("statement", "statement")
    if "statement" not in found.values():
        what = (
            f"no column says what a principle is; there are {', '.join(map(str, there)) or 'none'}"
        )
        raise InputError(
            Problem(draft.file, what, "name the one that does: --map COLUMN=statement")
        )
    left = [
        key for key in there if key not in found and key.strip().lower() in ("principle", "rule")
    ]
    return found | ({left[0]: "id"} if left and "id" not in found.values() else {})


def _length(rows: Sequence[dict[str, Any]], column: str) -> int:
    return sum(len(str(row.get(column) or "")) for row in rows)


def _add(
    row: dict[str, Any], columns: Mapping[str, str], where: str, draft: ConstitutionDraft
) -> None:
    values: dict[str, Any] = {}
    for column, field in columns.items():
        if row.get(column) not in (None, ""):
            values.setdefault(field, row[column])
    texts = {
        field: draft.text(values.get(field), f"{where}: {field}")
        for field in ("statement", "critique", "revision", "preference")
        if field == "statement" or values.get(field)
    }
    if not texts["statement"]:
        return
    if "preference" not in texts and compares(texts["statement"]):
        draft.chosen_by(texts["statement"])
        return
    name = str(values.get("id") or "").strip()
    marks = _marks(values, where, draft)
    draft.stated(texts.pop("statement"), name, **texts, **marks)


def _marks(values: Mapping[str, Any], where: str, draft: ConstitutionDraft) -> dict[str, Any]:
    """Tags, severity and weight; what does not fit is noted."""
    marks: dict[str, Any] = {}
    given = values.get("tags") or []
    said = given if isinstance(given, list) else _BETWEEN_TAGS.split(str(given))
    tags = {str(tag).strip(): slug(str(tag)) for tag in said if str(tag).strip()}
    draft.notes += [f"left out: the tag {tag!r} of {where}" for tag, id in tags.items() if not id]
    marks["tags"] = tuple(dict.fromkeys(filter(None, tags.values())))
    if severity := str(values.get("severity") or "").strip().lower():
        if severity in [*Severity]:
            marks["severity"] = Severity(severity)
        else:
            draft.notes.append(
                f"left out: the severity {severity!r} of {where}, which is {_SEVERITIES}"
            )
    if (weight := values.get("weight")) not in (None, ""):
        try:
            marks["weight"] = float(weight)
        except (TypeError, ValueError):
            marks["weight"] = math.nan
        if not 0 <= marks["weight"] < math.inf:
            draft.wrong(f"{where}: weight", f"is {shown(weight)}, not a number of 0 or more")
            marks["weight"] = 0.0
    return marks


_SEVERITIES = f"not one of {', '.join(Severity)}"


def _written(constitution: Constitution) -> list[dict[str, Any]]:
    fields = ("statement", "critique", "revision", "preference", "severity", "weight", "tags")
    return [
        {"id": p.id}
        | {
            key: value
            for key, value in p.model_dump(mode="json", exclude_defaults=True).items()
            if key in fields
        }
        for p in constitution.principles
    ]


SHAPES = {
    Format.PRINCIPLES: Shape(
        _is_principles,
        _read_principles,
        _written,
        ("statement", "critique", "revision", "preference", "severity", "weight", "tags"),
    )
}
