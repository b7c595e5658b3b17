"""Which formats there are, which one a file is in, and the way to read and write each."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from constitution.interchange import anthropic, chats, criteria, langchain, traits
from constitution.interchange.draft import Draft, Exported, Imported
from constitution.interchange.files import read_json
from constitution.interchange.wording import slug
from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from constitution.yaml_source import decode

__all__ = ["Format", "export_constitution", "format_of", "import_constitution"]


class Format(StrEnum):
    """The formats of other projects."""

    ANTHROPIC = "anthropic"
    ANTHROPIC_FEW_SHOT = "anthropic-few-shot"
    ANTHROPIC_PREFERENCE = "anthropic-preference"
    LLM_SWARM = "llm-swarm"
    NEMO_ALIGNER = "nemo-aligner"
    OPEN_CHARACTER = "open-character"
    OPEN_CHARACTER_LINES = "open-character-jsonl"
    ICAI = "icai"
    CONSTITUTIONAL_EVALS = "constitutional-evals"
    LANGCHAIN = "langchain"


@dataclass(frozen=True, slots=True)
class _Ways:
    """How a format is recognised, read and written."""

    is_one: Callable[[Any], bool]
    read: Callable[[Any, Draft], None]
    write: Callable[[Constitution], Exported]


def _ways(format: Format) -> _Ways:
    a, c, k, t, n = anthropic, chats, criteria, traits, langchain
    match format:
        case Format.ANTHROPIC:
            return _Ways(a.is_instructions, a.read_instructions, a.write_instructions)
        case Format.ANTHROPIC_FEW_SHOT:
            return _Ways(a.is_few_shot, a.read_few_shot, a.write_few_shot)
        case Format.ANTHROPIC_PREFERENCE:
            return _Ways(a.is_preferences, a.read_preferences, a.write_preferences)
        case Format.LLM_SWARM:
            return _Ways(c.is_llm_swarm, c.read_llm_swarm, c.write_llm_swarm)
        case Format.NEMO_ALIGNER:
            return _Ways(c.is_nemo, c.read_nemo, c.write_nemo)
        case Format.OPEN_CHARACTER:
            return _Ways(t.is_traits, t.read_traits, t.write_traits)
        case Format.OPEN_CHARACTER_LINES:
            return _Ways(t.is_traits, t.read_traits, t.write_traits_lines)
        case Format.ICAI:
            return _Ways(k.is_icai, k.read_icai, k.write_icai)
        case Format.CONSTITUTIONAL_EVALS:
            return _Ways(k.is_evals, k.read_evals, k.write_evals)
        case Format.LANGCHAIN:
            return _Ways(n.is_langchain, n.read_langchain, n.write_langchain)


_TOLD_APART = tuple(format for format in Format if format is not Format.OPEN_CHARACTER_LINES)
"""A list of traits and lines of traits read alike."""


def format_of(data: Any, file: str) -> Format:
    """The one format that `data` has the shape of. Raises InputError if none has, or several."""
    found = [format for format in _TOLD_APART if _ways(format).is_one(data)]
    if len(found) == 1:
        return found[0]
    if anthropic.is_preferences_few_shot(data):
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
    data = _data(path)
    format = format or format_of(data, str(path))
    draft = Draft(str(path), slug(name or ""))
    _ways(format).read(data, draft)
    if few_shot is not None and draft.principles:
        _add_few_shot(draft, few_shot)
    draft.name = draft.name or slug(path.stem) or "imported"
    return draft.finished(format)


def export_constitution(constitution: Constitution, format: Format) -> Exported:
    """The text of a file in that format. Raises InputError if it can hold nothing of this one."""
    return _ways(format).write(constitution)


_WITH_EXAMPLES = (Format.ANTHROPIC_FEW_SHOT, Format.NEMO_ALIGNER)


def _add_few_shot(draft: Draft, path: Path) -> None:
    data = _data(path)
    format = format_of(data, str(path))
    if format not in _WITH_EXAMPLES:
        what = f"is {format}, which is not a file of examples"
        remedy = f"give one that is {' or '.join(_WITH_EXAMPLES)}"
        raise InputError(Problem(str(path), what, remedy))
    file, draft.file = draft.file, str(path)
    _ways(format).read(data, draft)
    draft.file = file


def _data(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise InputError(Problem(str(path), what, "is it a file that you may read?")) from error
    return read_json(decode(content, str(path)), str(path))
