"""The JSON Schema agrees with the loader about what a constitution is."""

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from constitution import shipped_constitutions
from constitution.schema import Constitution
from constitution.yaml_writer import SCHEMA_FILE, json_schema, json_schema_text

LIBRARY = SCHEMA_FILE.parent / "library"
PRINCIPLE = {"id": "kind", "statement": "Be kind."}
GOOD = {"name": "x", "principles": [PRINCIPLE]}


@pytest.fixture(scope="module")
def validator():
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def test_the_committed_file_is_current():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == json_schema_text(), (
        "run python -m constitution.yaml_writer"
    )


def test_it_is_a_schema_of_its_draft():
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_every_field_is_described():
    schema = json_schema()
    objects = {"Constitution": schema, **schema["$defs"]}
    undescribed = [
        f"{name}.{key}"
        for name, definition in objects.items()
        for key, field in definition.get("properties", {}).items()
        if not field.get("description")
    ]
    assert undescribed == []
    assert set(schema["properties"]) == set(Constitution.model_fields)


@pytest.mark.parametrize("name", shipped_constitutions())
def test_shipped_constitutions_are_valid(validator, name):
    validator.validate(yaml.safe_load((LIBRARY / f"{name}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", shipped_constitutions())
def test_shipped_constitutions_name_the_schema_for_editors(name):
    first = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../constitution.schema.json"


@pytest.mark.parametrize(
    "change",
    [
        {"extends": ["base"], "principles": []},
        {"principles": [PRINCIPLE | {"weight": 2, "severity": "critical", "critique": None}]},
        {"stakeholders": {"legal": {"weights": {"kind": 0.5}}}},
    ],
)
def test_what_is_valid(validator, change):
    validator.validate(GOOD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Big Name"},
        {"version": 1.0},
        {"principels": []},
        {"principles": []},
        {"extends": "base"},
        {"principles": [{"id": "kind"}]},
        {"principles": [PRINCIPLE | {"wieght": 1}]},
        {"principles": [PRINCIPLE | {"weight": -1}]},
        {"principles": [PRINCIPLE | {"weight": "heavy"}]},
        {"principles": [PRINCIPLE | {"severity": "huge"}]},
        {"principles": [PRINCIPLE | {"statement": ""}]},
        {"principles": [PRINCIPLE | {"tests": [{"prompt": "a", "compliant": "b"}]}]},
        {"stakeholders": {"Legal Team": {}}},
        {"stakeholders": {"legal": {"weights": {"Kind": 1}}}},
        {"few_shot": [{"principle": "kind"}]},
    ],
    ids=str,
)
def test_what_is_not(validator, change):
    assert not validator.is_valid(GOOD | change)


def nodes(node):
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from nodes(child)


def test_editors_fill_in_nothing_that_is_empty():
    """An editor inserts a key with its default: `null` and `[]` would then have to be deleted."""
    assert all(node.get("default", "text") for node in nodes(json_schema()))
    assert not any(isinstance(node.get("default"), dict) for node in nodes(json_schema()))


def test_editors_say_in_words_what_is_wrong_with_a_name():
    patterns = [node for node in nodes(json_schema()) if isinstance(node.get("pattern"), str)]
    assert patterns
    assert all("hyphens" in node["patternErrorMessage"] for node in patterns)


def test_editors_propose_the_shipped_constitutions():
    assert json_schema()["properties"]["extends"]["items"]["examples"] == [*shipped_constitutions()]
