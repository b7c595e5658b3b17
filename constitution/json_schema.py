"""The JSON Schema of a constitution file, by which editors complete and check it.

`python -m constitution.json_schema` writes it again.
"""

import json
from pathlib import Path
from typing import Any

from constitution.loader import shipped_constitutions
from constitution.schema import Constitution

__all__ = ["SCHEMA_FILE", "json_schema", "json_schema_text"]

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
