"""The JSON Schema of a constitution file, by which editors complete and check it.

`python -m constitution.json_schema` writes it anew.
"""

import json
from pathlib import Path
from typing import Any

from constitution.schema import Constitution

__all__ = ["SCHEMA_FILE", "json_schema", "json_schema_text"]

SCHEMA_FILE = Path(__file__).with_name("constitution.schema.json")


def json_schema() -> dict[str, Any]:
    """Draft 2020-12, with the rule that a file has principles or extends one that does."""
    schema = Constitution.model_json_schema()
    schema["anyOf"] = [
        {"required": ["principles"], "properties": {"principles": {"minItems": 1}}},
        {"required": ["extends"], "properties": {"extends": {"minItems": 1}}},
    ]
    _close_mappings(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def json_schema_text() -> str:
    """What `constitution.schema.json` holds."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _close_mappings(node: Any) -> None:
    """Pydantic leaves a mapping open to keys that do not match their pattern; the model is not."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        _close_mappings(child)


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json_schema_text(), encoding="utf-8")
