"""A constitution as a YAML file that is pleasant to go on editing, and the JSON Schema by which
editors complete and check it: `python -m constitution.yaml_writer` writes that file again.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from constitution.loader import shipped_constitutions
from constitution.reading import read_text
from constitution.schema import Constitution

__all__ = [
    "SCHEMA_FILE",
    "SCHEMA_LINE",
    "constitution_yaml",
    "json_schema",
    "json_schema_text",
    "schema_comment",
    "write_whole",
]

SCHEMA_LINE = "# yaml-language-server:"
"""How the first line begins by which editors find the schema."""

_WIDTH = 92
"""Where lines are folded; a word and the indentation may go beyond."""
_NUMBER = re.compile(r"\A[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")
"""Numbers to the loader that PyYAML would not quote."""
_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks to YAML but not to us: only double quotes escape them."""
_ONE_LINE = 80
"""Longest text that is written on its key's line."""


def constitution_yaml(constitution: Constitution, *, comment: str = "") -> str:
    """YAML that loads as `constitution`: what has its default left out, long texts in blocks.

    `comment` is put first; its lines must begin with `#`.
    """
    data = constitution.model_dump(mode="json", exclude_defaults=True)
    principles, examples = data.pop("principles", []), data.pop("few_shot", [])
    head = {"name": data.pop("name"), "version": data.pop("version", constitution.version)}
    head |= {key: data.pop(key) for key in ("description", "extends") if key in data}
    text = (comment.rstrip("\n") + "\n" if comment else "") + _dumped(head)
    if "preamble" in data:
        text += "\n" + _dumped({"preamble": data.pop("preamble")})
    text += _list("principles", principles)
    text += "".join("\n" + _dumped({key: value}) for key, value in data.items())
    return text + _list("few_shot", examples)


def schema_comment(out: Path) -> str:
    """The first line by which editors find the schema, relative to the file `out`.

    Within the project that holds the schema it names that, elsewhere a copy beside `out`, which is
    written if there is none: a file that is shared must not name a folder of one machine.
    """
    folder = Path(os.path.abspath(out)).parent
    place = SCHEMA_FILE.name
    if folder.is_relative_to(SCHEMA_FILE.parents[1]):
        place = Path(os.path.relpath(SCHEMA_FILE, folder)).as_posix()
    elif not (copy := folder / place).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(copy, read_text(SCHEMA_FILE))
    return f"{SCHEMA_LINE} $schema={place}\n"


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing; a file that is replaced keeps its mode."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8", newline="")
    if path.exists():
        draft.chmod(path.stat().st_mode)
    draft.replace(path)


def _list(key: str, items: list[Any]) -> str:
    """A list of mappings with an empty line between any two."""
    if not items:
        return ""
    dumped = (_dumped([item]) for item in items)
    indented = (
        "".join(f"  {line}" if line.strip() else line for line in _lines(d)) for d in dumped
    )
    return f"\n{key}:\n" + "\n".join(indented)


def _lines(text: str) -> list[str]:
    """At line feeds only: other line separators may stand inside quotes."""
    return [f"{line}\n" for line in text.removesuffix("\n").split("\n")]


def _dumped(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and writes no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _BREAKS.search(text) or _NUMBER.fullmatch(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif len(text) > _ONE_LINE:
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _sequence(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    plain = all(isinstance(item, str) and len(item) < _ONE_LINE // 4 for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _sequence)


_SLUG = "Lower-case letters, digits and single hyphens, such as no-physical-harm."
_FUNCTION = "A module and a function, such as house_rules:has_disclaimer; no hyphens."
SCHEMA_FILE = Path(__file__).with_name("constitution.schema.json")


def json_schema() -> dict[str, Any]:
    """Draft 2020-12, with the rule that a file has principles or extends one that does."""
    schema = Constitution.model_json_schema()
    schema["if"] = {
        "required": ["extends"],
        "properties": {"extends": {"type": "array", "minItems": 1}},
    }
    schema["else"] = {
        "required": ["principles"],
        "properties": {"principles": {"type": "array", "minItems": 1}},
    }
    schema["properties"]["extends"]["items"]["examples"] = list(shipped_constitutions())
    _for_editors(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def json_schema_text() -> str:
    """What `constitution.schema.json` holds."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _for_editors(node: Any) -> None:
    """Mappings are closed to keys that do not match their pattern, as the model is. What editors
    insert automatically is something to fill in, not `null`, `[]` or `{}`; and what is wrong with
    a name is in words."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        if not node.get("default", "none") or isinstance(node.get("default"), dict):
            del node["default"]
        if isinstance(node.get("pattern"), str):
            node["patternErrorMessage"] = _FUNCTION if ":" in node["pattern"] else _SLUG
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        _for_editors(child)


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json_schema_text(), encoding="utf-8")
