"""Principles in prose: sections, lists and tables of a Markdown file, or lines of plain text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

__all__ = ["Item", "Prose", "labelled", "listed_items", "read_prose"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"\A(?:\d+(?:\.\d+)*[.)]?|[ivxlc]+[.)])[ \t]+", re.IGNORECASE)
_TASK = re.compile(r"\A\[[ xX]\] ")
_LABEL = re.compile(r"\A([^:.!?]{3,60}): +(\S[^\n]*+(?:\n[^\n]*+)*+)\Z")
_FEWEST_WORDS = 3
"""Of what follows a label, for it to say something by itself."""
_LISTS = ("bullet_list", "ordered_list")
_SILENT = ("hr",)


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a list: what it says, its name if it begins with one, and the line before the list."""

    text: str
    label: str = ""
    lead: str = ""


@dataclass(slots=True)
class Prose:
    """What a file says, in its order: a row for each principle, and what is said around them."""

    title: str = ""
    preamble: str = ""
    front_matter: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Section:
    heading: str
    category: str
    prose: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def read_prose(text: str) -> Prose:
    """The principles of a text.

    A list's entries and a table's rows are principles, tagged with their heading; a section of prose
    alone is one, called by its heading. What stands between the title and the first section is the
    preamble. Without headings and lists each paragraph is one, or each line of the only paragraph.
    """
    found = Prose()
    if front := _FRONT_MATTER.match(text):
        found.front_matter, text = front[1], text[front.end() :]
    sections = [*_sections(_tree(text), found)]
    for section in sections:
        _take(section, found, alone=len(sections) == 1)
    return found


def listed_items(text: str) -> list[Item]:
    """Every entry of the lists in a text, with the last line of the paragraph before its list."""
    items, lead = [], ""
    for node in _tree(text).children:
        if node.type in _LISTS:
            items += [_item(child, lead) for child in node.children]
        else:
            lines = _plain(node).splitlines() if node.type in ("paragraph", "heading") else []
            lead = lines[-1].strip() if lines else ""
    return [item for item in items if item.text]


def labelled(text: str) -> tuple[str, str]:
    """The name that a text begins with, as in `Honesty: The assistant does not lie.`, and the rest."""
    found = _LABEL.match(text)
    if found and len(found[2].split()) >= _FEWEST_WORDS:
        return found[1].strip(), found[2]
    return "", text


def _tree(text: str) -> "SyntaxTreeNode":
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))


def _sections(root: "SyntaxTreeNode", found: Prose) -> Iterator[_Section]:
    section, path = _Section("", ""), [""] * 7
    headings = [node for node in root.children if node.type == "heading"]
    tops = [node for node in headings if node.tag == "h1"]
    for node in root.children:
        if node.type == "heading":
            yield section
            level, heading = int(node.tag[1]), _NUMBER.sub("", _plain(node))
            is_title = node is headings[0] and tops == [node]
            path[level:] = ["" if is_title else heading] + [""] * (6 - level)
            section = _Section(path[level], next(filter(None, reversed(path)), ""))
            found.title = heading if is_title else found.title
        elif node.type == "paragraph":
            section.prose.append(_plain(node))
        elif node.type in _LISTS:
            section.rows += [_row(_item(child, "")) for child in node.children]
        elif node.type == "table":
            section.rows += _table(node)
        elif node.type not in _SILENT and not node.content.lstrip().startswith("<!--"):
            found.left_out.append(node.content or " ".join(map(_plain, node.children)))
    yield section


def _take(section: _Section, found: Prose, *, alone: bool) -> None:
    said = "\n\n".join(section.prose)
    tag = {"category": section.category} if section.category else {}
    if section.heading and said and (not section.rows or not said.endswith(":")):
        found.rows.append({"id": section.heading, "statement": " ".join(said.split())})
    elif said and alone and not section.rows:
        lines = said.splitlines() if len(section.prose) == 1 else section.prose
        found.rows += [_row(Item(*labelled(line)[::-1])) for line in lines]
    elif said and not section.heading and not found.rows:
        found.preamble += ("\n\n" if found.preamble else "") + said
    elif said:
        found.left_out.append(said)
    found.rows += [tag | row for row in section.rows]


def _row(item: Item) -> dict[str, Any]:
    row = {"statement": " ".join(item.text.split())}
    return {"id": item.label} | row if item.label else row


def _table(node: "SyntaxTreeNode") -> list[dict[str, Any]]:
    head, *rows = (
        [_plain(cell) for cell in row.children] for part in node.children for row in part.children
    )
    return [dict(zip(head, row, strict=False)) for row in rows]


def _item(node: "SyntaxTreeNode", lead: str) -> Item:
    """With what is listed below it as further lines; a name in bold, or before a colon, is its label."""
    parts = [
        "\n".join(f"- {_item(inner, '').text}" for inner in child.children)
        if child.type in _LISTS
        else _plain(child)
        for child in node.children
    ]
    text = _TASK.sub("", "\n".join(filter(None, parts)))
    strong = _leading_strong(node)
    rest = text.removeprefix(strong).lstrip(" :.\u2013\u2014-")
    if strong and len(rest.split()) >= _FEWEST_WORDS:
        return Item(rest, strong.rstrip(" :."), lead)
    label, rest = labelled(text)
    return Item(rest, label, lead)


def _leading_strong(node: "SyntaxTreeNode") -> str:
    inline = node
    while inline.children and inline.type in ("list_item", "paragraph", "inline"):
        inline = (
            inline.children[0]
            if inline.children[0].type != "text" or inline.children[0].content
            else inline.children[1]
        )
        if inline.type == "strong":
            return _plain(inline)
    return ""


def _plain(node: "SyntaxTreeNode") -> str:
    """The words of a node, without marks of emphasis, links and code."""
    match node.type:
        case "softbreak" | "hardbreak":
            return "\n"
        case "text" | "code_inline" | "code_block" | "fence" | "html_inline":
            return node.content
    return "".join(map(_plain, node.children))
