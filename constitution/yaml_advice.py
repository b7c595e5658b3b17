"""YAML's own errors, in terms of what the author typed."""

import re
import unicodedata

import yaml

from constitution.problems import Problem

__all__ = ["odd_character", "syntax_problem"]

_SPACES = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_ODD = re.compile(rf"\A[ \t]*+(?:-[ \t]*+)*+(?:[\w-]{{1,80}}+:?)?+([{_SPACES}\uff1a])")
"""White space that YAML takes for text, or a wide colon, where it looks for structure."""

_QUOTE = "put the text in quotes, or on the next lines after `|`"

_ADVICE = (
    ("could not find expected ':'", "a key without `:`, or text that is indented too little", ""),
    ("but found '<scalar>'", "text after the closing quote, or wrongly indented", _QUOTE),
    ("but found '<block mapping start>'", "this is not indented like what is before it", ""),
    ("'<block sequence start>'", "this list is not indented like what is before it", ""),
    ("but found '-'", "this `-` is not indented like what is before it", ""),
    ("but found '?'", "this key is not indented like what is before it", ""),
    ("sequence entries are not allowed", "a list cannot start here", "start it on a new line"),
    ("found unexpected end of stream", "a quote or bracket is never closed", "close it"),
    ("but got '<stream end>'", "a quote or bracket is never closed", "close it"),
    ("but got '}'", "a `[` is closed by `}`", "close it with `]`"),
    ("but got ']'", "a `{` is closed by `]`", "close it with `}`"),
    ("expected ',' or", "in brackets, a comma is missing or text needs quotes", "or use lines"),
    ("unexpected document separator", "a quote is never closed before `---`", "close it"),
    ("found undefined alias", "text that starts with `*` is an alias to YAML", _QUOTE),
    ("expected alphabetic or numeric character", "`*` and `&` are special at the start", _QUOTE),
    ("found duplicate anchor", "this anchor (`&name`) came before", "give it another name"),
    ("expected a single document", "a second document", "keep one per file"),
    ("but found '<document start>'", "`---` inside a value", _QUOTE),
    ("nested too deeply", "this is nested too deeply", "a constitution is four levels deep"),
    ("found unknown escape character", "this `\\` starts no known escape", "write `\\\\`"),
)
"""Part of what PyYAML says, what it means, the remedy."""


def syntax_problem(error: yaml.YAMLError, text: str, name: str) -> Problem:
    """What is wrong in `text`, where, and how to fix it."""
    if isinstance(error, yaml.reader.ReaderError):
        return _unreadable(error, text, name)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    said = " ".join(filter(None, (getattr(error, "context", ""), getattr(error, "problem", ""))))
    lines = text.splitlines()
    rest = lines[line][column:] if line < len(lines) else ""
    context = getattr(error, "context_mark", None)
    first = context.line if context else line
    for number in range(first, min(line + 1, len(lines))):
        if odd := odd_character(lines[number]):
            return Problem(f"{name}:{number + 1}:{odd[0]}", *odd[1:])
    what, remedy = _advice(said, rest, lines, line)
    if "never closed" in what and context:
        line, column = context.line, context.column
    return Problem(f"{name}:{line + 1}:{column + 1}", what, remedy)


def odd_character(line: str) -> tuple[int, str, str] | None:
    """The column of a character that looks like structure and is text to YAML, what it is, the
    remedy; None if the line has none."""
    found = _ODD.match(line)
    if not found:
        return None
    called = f"{unicodedata.name(found[1], 'a character').lower()} (U+{ord(found[1]):04X})"
    remedy = "write `: `" if found[1] == "\uff1a" else "write an ordinary space"
    return found.start(1) + 1, f"{called} is text to YAML", remedy


def _advice(said: str, rest: str, lines: list[str], line: int) -> tuple[str, str]:
    if rest.startswith("\t") or (line < len(lines) and lines[line].lstrip(" ").startswith("\t")):
        return "a tab in the indentation", "use spaces"
    if "cannot start any token" in said:
        return f"text cannot start with {rest[:1]!r}", _QUOTE
    if "mapping values are not allowed" in said:
        if ": " in lines[line][: len(lines[line]) - len(rest)]:
            return "a second `: ` in one value", _QUOTE
        return "a key below text, or indented more than the keys above", "align it with them"
    for part, what, remedy in _ADVICE:
        if part in said:
            return what, remedy
    return f"not YAML: {said or 'unreadable'}", ""


def _unreadable(error: yaml.reader.ReaderError, text: str, name: str) -> Problem:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    code = error.character if isinstance(error.character, int) else ord(error.character)
    return Problem(f"{name}:{line}:{column}", f"control character U+{code:04X}", "take it out")
